"""The sample service: a jar per order, which holds coins by command and publishes events."""

import asyncio
import os
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis import etag, outbox
from chassis.auth import Internal, SignedIn, require_permission
from chassis.bus import Bus, Replied
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.idempotency import Claim, idempotent
from chassis.model import Aggregate, Model, own_metadata
from chassis.pages import Page, Paged
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.wire import Body, Id, Name, View
from contracts.inventory import ReleaseStock, ReserveStock, StockReleased, StockReserved
from contracts.orders import OrderCancelled, OrderPlaced
from contracts.payments import CancelPayment, PaymentCancelled

# With these numbers of coins the handler fails, its process ends, and the handler never returns.
POISON, DEADLY, ENDLESS = 666, 667, 668


class Base(Model):
    """The sample's own tables."""

    __abstract__ = True
    metadata = own_metadata()


class Jar(Aggregate, Base):
    """Coins, in whole pieces."""

    __tablename__ = "jars"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    coins: Mapped[int]


class JarBody(Body):
    """A new jar."""

    name: Name
    coins: Annotated[int, Field(ge=0, le=1000)]
    owner: Id | None = None


class JarView(View):
    """A jar."""

    id: UUID
    coins: int


router = APIRouter(prefix="/v1/jars")
bus: Bus[ServiceSettings] = Bus("sample")


def principal(caller: SignedIn) -> str:
    """Whose idempotency keys they are."""
    return caller.principal


@router.post("", status_code=201)
async def make(body: JarBody, claim: Annotated[Claim, idempotent(principal)], tx: Tx) -> JarView:
    """Make a jar."""
    jar = Jar(id=claim.resource_id, coins=body.coins)
    tx.add(jar)
    outbox.add(tx, jar.record(StockReleased(order_id=jar.id)))
    return await claim.store(tx, 201, JarView(id=jar.id, coins=jar.coins))  # type: ignore[return-value]


@router.get("")
async def list_jars(paging: Paged, tx: Tx) -> Page[JarView]:
    """All jars."""
    query = select(Jar).order_by(Jar.id).limit(paging.limit + 1)
    after = paging.position(UUID)
    if after is not None:
        query = query.where(Jar.id > after)
    rows = (await tx.scalars(query)).all()
    return paging.page(rows, JarView.model_validate, lambda jar: jar.id)


@router.put("/{jar_id}")
@refuses(NotFound)
async def change(jar_id: UUID, body: JarBody, expected: etag.IfMatch, tx: Tx) -> JarView:
    """Change a jar."""
    jar = await tx.get(Jar, jar_id, with_for_update=True)
    if jar is None:
        raise NotFound
    etag.check(jar.version, expected)
    jar.coins = body.coins
    jar.touch()
    return JarView.model_validate(jar)


@router.delete(
    "/{jar_id}", status_code=204, dependencies=[Depends(require_permission("jars:write"))]
)
async def drop(jar_id: UUID, tx: Tx) -> None:
    """Drop a jar."""
    await tx.delete(await tx.get_one(Jar, jar_id))


internal = APIRouter(prefix="/internal")


@internal.get("/whoami")
async def whoami(caller: Internal) -> dict[str, str]:
    """The caller."""
    return {"service": caller.name, "for": str(caller.on_behalf_of and caller.on_behalf_of.id)}


@bus.handles_many(ReserveStock)
async def reserve(commands: list[ReserveStock], tx: AsyncSession) -> list[StockReserved]:
    """Hold coins for many orders at once."""
    answers = []
    for command in commands:
        jar = Jar(id=command.order_id, coins=sum(line.quantity for line in command.lines))
        if jar.coins == POISON:
            raise ValueError("poison")
        if jar.coins == DEADLY:
            os._exit(9)
        if jar.coins == ENDLESS:
            await asyncio.Event().wait()
        tx.add(jar)
        answers.append(jar.record(StockReserved(order_id=jar.id, allocations=[])))
    return answers


@bus.handles(ReleaseStock)
async def release(command: ReleaseStock, tx: AsyncSession) -> StockReleased:
    """Empty the jar."""
    jar = await tx.get(Jar, command.order_id, with_for_update=True)
    if jar is None:
        jar = Jar(id=command.order_id, coins=0)
        tx.add(jar)
    jar.coins = 0
    return jar.record(StockReleased(order_id=command.order_id))


@bus.handles(OrderCancelled)
async def count_end(event: OrderCancelled, tx: AsyncSession) -> None:
    """Add a coin to the jar of an order that ended, so that a second time shows."""
    jar = await tx.get(Jar, event.order_id, with_for_update=True)
    if jar is None:
        jar = Jar(id=event.order_id, coins=0)
        tx.add(jar)
    jar.coins += 1


@bus.handles_many(OrderPlaced, low_priority=True)
async def count_batch(events: list[OrderPlaced], tx: AsyncSession) -> None:
    """Remember how many came together."""
    tx.add_all([Jar(id=event.order_id, coins=len(events)) for event in events])


@bus.calls(CancelPayment)
class Cancel:
    """Calls the provider."""

    async def record(self, command: CancelPayment, tx: AsyncSession) -> UUID | Replied:
        """Nothing to store here."""
        jar = await tx.get(Jar, command.order_id)
        if jar is None:
            tx.add(Jar(id=command.order_id, coins=0))
        elif jar.coins < 0:
            return Replied(None)
        return command.order_id

    async def call(self, plan: UUID) -> int:
        """Count the calls."""
        bus.resources.calls = getattr(bus.resources, "calls", 0) + 1
        if getattr(bus.resources, "fails", 0):
            bus.resources.fails -= 1
            raise getattr(bus.resources, "failure", TimeoutError)("the provider did not answer")
        return 7

    async def finish(
        self, command: CancelPayment, plan: UUID, outcome: int, tx: AsyncSession
    ) -> PaymentCancelled:
        """Store the outcome."""
        jar = await tx.get_one(Jar, plan, with_for_update=True)
        jar.coins = outcome
        return jar.record(PaymentCancelled(order_id=plan))


service = Service("sample", ServiceSettings, Base.metadata, [router, internal], bus)
