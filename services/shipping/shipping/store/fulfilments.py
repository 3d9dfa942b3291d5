"""Queries on the way of a checkout: set-based, whatever number of orders comes at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.shipping import Parcel
from shipping.domain import Fulfilment, Shipment, ShippingMethod, ShippingProvider
from shipping.domain.fulfilment import Offered
from shipping.domain.shipment import ENDED

CLAIM = text(
    "insert into fulfilments (order_id, operation_id, status, reason, sequence) "
    "select * from unnest(cast(:orders as uuid[]), cast(:operations as uuid[]), "
    "cast(:statuses as text[]), cast(:reasons as text[]), cast(:counts as bigint[])) "
    "on conflict (order_id) do update set "
    "sequence = fulfilments.sequence + excluded.sequence, updated_at = now() "
    "returning order_id, operation_id, status, reason, sequence"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a fulfilment becomes if there is none yet, and how many answers will be numbered."""

    order_id: UUID
    operation_id: UUID
    status: str
    reason: str | None
    answers: int = 1


@dataclass(slots=True)
class Claimed:
    """A fulfilment, locked until commit; `sequence` is the number of the last answer given."""

    operation_id: UUID
    status: str
    reason: str | None
    sequence: int
    is_new: bool
    changed: bool = False

    def number(self) -> int:
        """Give the next answer its number."""
        self.sequence += 1
        return self.sequence

    def become(self, operation_id: UUID, status: str, reason: str | None) -> None:
        """Decide anew."""
        self.operation_id, self.status, self.reason = operation_id, status, reason
        self.changed = True


async def lock_fulfilments(tx: AsyncSession, wishes: Iterable[Wish]) -> dict[UUID, Claimed]:
    """Lock the fulfilments of several orders, in one order, making those that are missing."""
    wanted = {wish.order_id: wish for wish in sorted(wishes, key=lambda wish: wish.order_id)}
    rows = await tx.execute(
        CLAIM,
        {
            "orders": list(wanted),
            "operations": [wish.operation_id for wish in wanted.values()],
            "statuses": [wish.status for wish in wanted.values()],
            "reasons": [wish.reason for wish in wanted.values()],
            "counts": [wish.answers for wish in wanted.values()],
        },
    )
    claimed = {}
    for order_id, operation_id, status, reason, sequence in rows:
        before = sequence - wanted[order_id].answers
        # Every fulfilment is made together with its first answer.
        claimed[order_id] = Claimed(operation_id, status, reason, before, is_new=before == 0)
    return claimed


async def save_fulfilments(tx: AsyncSession, claimed: dict[UUID, Claimed]) -> None:
    """Write what was decided anew; rare."""
    for order_id, each in claimed.items():
        if each.changed:
            await tx.execute(
                update(Fulfilment)
                .where(Fulfilment.order_id == order_id)
                .values(operation_id=each.operation_id, status=each.status, reason=each.reason)
            )


async def get_offered(tx: AsyncSession, method_ids: Iterable[UUID]) -> Offered:
    """Find the methods that exist, with their provider's code and whether they can be used."""
    rows = await tx.execute(
        select(
            ShippingMethod.id,
            ShippingProvider.code,
            ShippingMethod.is_active,
            ShippingProvider.status,
        )
        .join(ShippingProvider, ShippingProvider.id == ShippingMethod.provider_id)
        .where(ShippingMethod.id == any_(literal(list(method_ids), ARRAY(Uuid))))
    )
    return {row.id: (row.code, row.is_active and row.status == "active") for row in rows}


async def add_shipments(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Insert parcels in one statement."""
    if rows:
        await tx.execute(insert(Shipment.__table__), rows)  # type: ignore[arg-type]


async def list_parcels(tx: AsyncSession, order_ids: Sequence[UUID]) -> dict[UUID, list[Parcel]]:
    """List the parcels of orders, without those kept back."""
    found: dict[UUID, list[Parcel]] = {order_id: [] for order_id in order_ids}
    if not order_ids:
        return found
    rows = await tx.execute(
        select(
            Shipment.order_id,
            Shipment.id,
            Shipment.warehouse_id,
            Shipment.seller_id,
            Shipment.lines,
        )
        .where(
            Shipment.order_id == any_(literal(list(order_ids), ARRAY(Uuid))),
            Shipment.status != "cancelled",
        )
        .order_by(Shipment.id)
    )
    for order_id, shipment_id, warehouse_id, seller_id, lines in rows:
        found[order_id].append(
            Parcel.model_validate(
                {
                    "shipment_id": shipment_id,
                    "warehouse_id": warehouse_id,
                    "seller_id": seller_id,
                    "lines": lines,
                }
            )
        )
    return found


async def lock_shipments(tx: AsyncSession, order_id: UUID) -> list[Shipment]:
    """All parcels of an order whose fulfilment is locked already."""
    found = await tx.scalars(
        select(Shipment)
        .where(Shipment.order_id == order_id)
        .order_by(Shipment.id)
        .with_for_update()
    )
    return list(found)


async def lock_fulfilment_of(tx: AsyncSession, order_id: UUID) -> None:
    """Lock an order's fulfilment, so that its parcels change one after the other."""
    await tx.execute(
        select(Fulfilment.order_id).where(Fulfilment.order_id == order_id).with_for_update()
    )


async def count_open_others(tx: AsyncSession, shipment: Shipment) -> int:
    """How many other parcels of the order are not at their end."""
    found = await tx.scalar(
        select(func.count())
        .select_from(Shipment)
        .where(
            Shipment.order_id == shipment.order_id,
            Shipment.id != shipment.id,
            Shipment.status.not_in(ENDED),
        )
    )
    return found or 0


async def move_shipments(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Let the parcels of one customer belong to another."""
    await tx.execute(
        update(Shipment)
        .where(Shipment.customer_id == before)
        .values(customer_id=after)
        .execution_options(synchronize_session=False)
    )
