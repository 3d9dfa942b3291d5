"""Small attacks, each aimed at one promise: together they find every defect planted on purpose."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aio_pika
import httpx

from chaos_buyers import Persistent
from failures import RAISE, CrashPoints, Failure
from invariants import InvariantChecker
from journeys import Journeys, card
from load import gather_load, visits
from queue_proxy import tapped
from replicas import replica
from shopfloor import Buyer, Product, Staff, until
from suite.instance import Instance
from testkit.crash_points import Point

PIECES = 10


@dataclass
class Attack:
    """What an attack has at hand."""

    instance: Instance
    staff: Staff
    http: httpx.AsyncClient
    books: InvariantChecker
    seed: int

    async def rush(self) -> None:
        """Ten pieces and thirty buyers whose carts all hold one, on two replicas of inventory."""
        async with replica(self.instance, "inventory", "worker"):
            await rush(self.staff, self.http, await self.staff.sell(stock=PIECES))

    async def unbound(self) -> None:
        """The queue of notifications loses its binding, and gets it back."""
        await unbound(self)

    async def repeated(self) -> None:
        """Every message to orders and inventory is delivered two to ten times."""
        crowd = await gather_load(self.staff, Persistent(self.http), scarce=PIECES)
        async with (
            tapped(self.instance, "orders", self.seed, (2, 10)),
            tapped(self.instance, "inventory", self.seed, (2, 10)),
        ):
            await crowd.shop(visits(self.seed, 30))

    async def answers_lost(self) -> None:
        """The provider charges, and its answer never comes, or is lost before it is recorded."""
        journeys = await self._journeys()
        lost = Failure("payments", Point.AFTER_CALL, "payments.CollectPayment", RAISE)
        for _ in range(3):
            # Its webhook comes late too, so that the key alone identifies the first charge.
            CrashPoints(self.instance.folder / "crash-points").order([lost])
            _, order_id = await journeys.place(payment=card("tok_late_webhook"))
            await journeys.stage(order_id)
        tokens = ("tok_error_after_charge", "tok_drop_after_charge", "tok_timeout_after_charge")
        placed = await asyncio.gather(
            *(journeys.place(payment=card(token)) for token in tokens for _ in range(2))
        )
        await asyncio.gather(*(journeys.stage(order_id) for _, order_id in placed))

    async def late_money(self) -> None:
        """A transfer comes after its order was cancelled."""
        await (await self._journeys()).transferred_late()

    async def _journeys(self) -> Journeys:
        return Journeys(self.staff, self.http, await self.staff.sell(stock=1000), self.books)

    def all(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Every attack by its name."""
        kinds = (self.rush, self.unbound, self.repeated, self.answers_lost, self.late_money)
        return {kind.__name__.replace("_", " "): kind for kind in kinds}


async def rush(staff: Staff, http: httpx.AsyncClient, product: Product) -> list[str]:
    """Three times as many buyers as pieces, in the same moment; returns how the orders end."""
    buyers = [Buyer(http, staff) for _ in range(3 * PIECES)]
    await asyncio.gather(*(buyer.fill((product, 1)) for buyer in buyers))
    answers = await asyncio.gather(*(buyer.check_out() for buyer in buyers))
    return [answer.json().get("status", answer.json().get("code")) for answer in answers]


async def unbound(attack: Attack) -> int:
    """Buy while no queue is bound to Notify; returns how many messages were parked for it."""
    key, product = "notifications.Notify", await attack.staff.sell(stock=3)
    async with await aio_pika.connect(attack.instance.broker_url()) as connection:
        queue = await (await connection.channel()).get_queue("svc.notifications")
        await queue.unbind("commands", key)
        try:
            buyer = Buyer(attack.http, attack.staff)
            order = await buyer.buys(product)
            await attack.staff.ended(order["id"])

            async def decided() -> bool:
                waiting = "select 1 from outbox where routing_key = $1 and parked_at is null"
                return not await attack.books.rows("orders", waiting, key)

            await until(decided)
            parked = await attack.books.rows(
                "orders", "select seq from outbox where parked_at is not null"
            )
        finally:
            await queue.bind("commands", key)
    # What is parked is tried again after a minute; the operator need not wait for it.
    await attack.books.rows("orders", "update outbox set parked_at = now() - interval '1 hour'")
    return len(parked)


def chance_of(seed: int, what: str) -> random.Random:
    """Chance of one purpose, from the one seed."""
    return random.Random(f"{what} {seed}")


def some_key() -> str:
    """An unused idempotency key."""
    return secrets.token_hex(12)
