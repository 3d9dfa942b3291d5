"""Many processes at once on one database never sell a piece twice."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from chassis.db import Database
from chassis.driver_errors import DATABASE_ERRORS, ErrorKind, classify
from chassis.ids import new_id
from chassis.messaging.incoming import Delivery
from chassis.settings import ServiceSettings
from contracts.inventory import (
    Allocation,
    ReleaseStock,
    StockEvent,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.message import Message
from inventory.handlers import bus
from testkit.harness import Harness

from .shop import Shop, parcel, wants

PROCESSES = 3
CONNECTIONS = 3
# The status of a request that lost to others too often; a client retries it.
CONTENDED = 503
PAUSE = 0.05


@asynccontextmanager
async def processes(shop: Shop) -> AsyncIterator[list[Database]]:
    """One connection pool for each worker process."""
    url = shop.inventory.running.settings.database_url
    pools = [Database(url, pool_size=CONNECTIONS) for _ in range(PROCESSES)]
    try:
        yield pools
    finally:
        for pool in pools:
            await pool.close()


def batches(messages: Sequence[Message], size: int) -> Iterable[Sequence[Message]]:
    return [messages[at : at + size] for at in range(0, len(messages), size)]


async def at_once(shop: Shop, messages: Sequence[Message], *, size: int = 7) -> None:
    """Deliver the messages to all processes at the same time, in batches, as consumers do.

    Each process handles one batch per connection, and retries those that lost to others too often,
    as the broker would redeliver them.
    """
    async with processes(shop) as pools:
        lanes = [asyncio.Semaphore(CONNECTIONS) for _ in pools]

        async def take(number: int, batch: Sequence[Message]) -> None:
            deliveries = [
                Delivery(shop.inventory._sequenced(m), shop.inventory._envelope(m, None))
                for m in batch
            ]
            async with lanes[number]:
                await received(pools[number], deliveries)

        await asyncio.gather(
            *(
                take(number % PROCESSES, batch)
                for number, batch in enumerate(batches(messages, size))
            )
        )


async def received(pool: Database, deliveries: Sequence[Delivery]) -> None:
    """Handle a batch, and retry it when PostgreSQL rolled it back to break a deadlock."""
    while True:
        try:
            await bus.receive(pool, deliveries)
        except DATABASE_ERRORS as error:
            if classify(error) is not ErrorKind.CONFLICT:
                raise
        else:
            return


async def assert_numbered_without_gaps(shop: Shop) -> None:
    numbers: dict[str, list[int]] = {}
    for message in await shop.inventory.published(StockEvent):
        numbers.setdefault(message.subject(), []).append(message.sequence)
    for each in numbers.values():
        assert each == list(range(each[0], each[0] + len(each)))


async def test_three_buyers_compete_for_every_unit(shop: Shop) -> None:
    mug = await shop.variant(40, 20)
    await at_once(shop, [wants((mug, 1)) for _ in range(180)])

    answers = Counter(map(type, await shop.inventory.published(StockReserved, StockRejected)))
    assert answers == {StockReserved: 60, StockRejected: 120}
    assert await shop.pieces(mug) == [(40, 40), (20, 20)]
    await assert_numbered_without_gaps(shop)


async def test_orders_of_many_variants_in_any_order_do_not_deadlock(
    shop: Shop,
) -> None:
    dice = random.Random(7)
    variants = [await shop.variant(30, 10) for _ in range(4)]
    orders = [
        wants(*((v, dice.randint(1, 3)) for v in dice.sample(variants, dice.randint(1, 4))))
        for _ in range(120)
    ]
    await at_once(shop, orders)

    held = await shop.inventory.published(StockReserved)
    refused = await shop.inventory.published(StockRejected)
    assert len(held) + len(refused) == len(orders)
    assert {r.reason for r in refused} <= {"insufficient"}
    # A rejected order really lacked pieces: they are still short, as none were released.
    left = {v: 40 - sum(r for _, r in await shop.pieces(v)) for v in variants}
    assert all(any(left[s.variant_id] < s.wanted for s in r.shortages) for r in refused)
    await assert_numbered_without_gaps(shop)


async def test_an_order_delivered_twenty_times_at_once_holds_once(shop: Shop) -> None:
    mug = await shop.variant(50)
    order = wants((mug, 2))
    await at_once(shop, [order] * 20, size=2)

    answers = await shop.inventory.published(StockReserved)
    assert sorted(a.sequence for a in answers) == list(range(1, 21))
    assert await shop.pieces(mug) == [(50, 2)]


async def test_reservations_and_their_releases_may_race(shop: Shop) -> None:
    mug = await shop.variant(30)
    orders = [wants((mug, 1)) for _ in range(60)]
    released = [ReleaseStock(operation_id=new_id(), order_id=o.order_id) for o in orders]
    random.Random(3).shuffle(released)
    await asyncio.gather(at_once(shop, orders), at_once(shop, released))

    assert await shop.pieces(mug) == [(30, 0)]
    assert len(await shop.inventory.published(StockReleased)) == 60
    states = await shop.inventory.sql("select state, count(*) from reservations group by state")
    assert {row.state for row in states} <= {"released", "rejected"}


async def test_orders_parcels_releases_and_counts_at_once_violate_no_invariant(
    shop: Shop,
) -> None:
    dice = random.Random(11)
    mug, pot = await shop.variant(40, 40), await shop.variant(40, 40)
    first = [wants((mug, dice.randint(1, 3)), (pot, 1)) for _ in range(24)]
    await at_once(shop, first)
    held = await shop.inventory.published(StockReserved)
    assert len(held) == len(first)
    parcels = [
        parcel(r.order_id, *together) for r in held[:12] for together in by_warehouse(r.allocations)
    ]
    released = [ReleaseStock(operation_id=new_id(), order_id=r.order_id) for r in held[12:18]]
    later = [wants((pot, dice.randint(1, 3)), (mug, 1)) for _ in range(24)]
    messages: list[Message] = [*parcels, *parcels, *released, *later]
    dice.shuffle(messages)

    await asyncio.gather(at_once(shop, messages), counting(shop, mug), counting(shop, pot))

    states = {r.order_id: await shop.state(r.order_id) for r in held}
    assert {states[r.order_id] for r in held[:12]} == {"fulfilled"}
    assert {states[r.order_id] for r in held[12:18]} == {"released"}
    await assert_numbered_without_gaps(shop)


def by_warehouse(allocations: Sequence[Allocation]) -> list[list[Allocation]]:
    """One parcel's pieces per warehouse."""
    found: dict[UUID, list[Allocation]] = {}
    for allocation in allocations:
        found.setdefault(allocation.warehouse_id, []).append(allocation)
    return list(found.values())


async def counting(shop: Shop, variant_id: UUID) -> None:
    """Staff adjust the stock while it moves, and retry a 503 under the same key."""
    for number in range(6):
        while (answer := await adjusted(shop, variant_id, number)).status_code == CONTENDED:
            assert answer.json()["code"] == "contention", answer.text
            await asyncio.sleep(PAUSE)
        assert answer.status_code in (201, 409), answer.text


async def adjusted(shop: Shop, variant_id: UUID, number: int) -> httpx.Response:
    """The answer to one of the adjustments."""
    return await shop.inventory.client.post(
        f"/v1/admin/stock/{variant_id}/{shop.first}/adjustments",
        json={"adjustment": -3 if number % 2 else 3, "reason": "recounted"},
        headers={**shop.staff(), "Idempotency-Key": f"{variant_id}-{number}"},
    )


async def test_the_invariants_detect_a_sale_without_a_lock(
    inventory: Harness[ServiceSettings],
) -> None:
    shop = await Shop.open(inventory)
    mug = await shop.variant(1)
    async with processes(shop) as pools:
        looked = asyncio.Barrier(PROCESSES)
        await asyncio.gather(*(naive_sale(shop, pool, mug, looked) for pool in pools))

    violations = await shop.violations()
    assert "oversold" in {fault[0] for fault in violations}


async def naive_sale(shop: Shop, pool: Database, variant_id: UUID, looked: asyncio.Barrier) -> None:
    """Read what is available without a lock, and write the computed value."""
    ids: dict[str, Any] = {
        "order_id": new_id(),
        "line_id": new_id(),
        "variant_id": variant_id,
        "warehouse_id": shop.first,
    }
    async with pool.transaction() as tx:
        seen = (
            await tx.execute(
                text(
                    "select on_hand - reserved as free, reserved from stock_items "
                    "where variant_id = :variant_id"
                ),
                ids,
            )
        ).one()
        await looked.wait()
        assert seen.free == 1
        for statement in (
            "insert into reservations (order_id, state, sequence) values (:order_id, 'held', 1)",
            "insert into allocations values (:order_id, :line_id, :warehouse_id, :variant_id, null, 1)",
            f"update stock_items set reserved = {seen.reserved + 1} where variant_id = :variant_id",
        ):
            await tx.execute(text(statement), ids)


async def test_the_invariants_detect_a_change_without_a_movement(
    inventory: Harness[ServiceSettings],
) -> None:
    shop = await Shop.open(inventory)
    await shop.variant(3)
    await inventory.sql("update stock_items set on_hand = on_hand + 1")
    assert {fault[0] for fault in await shop.violations()} == {"unbalanced", "wrong level"}
