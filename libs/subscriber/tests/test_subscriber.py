"""A foreign system on a real broker and database: each event once, retries, dead letters, replay, gaps."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aio_pika
import pytest
from aiormq.exceptions import ChannelNotFoundEntity
from foreign import Shop, cancelled, effects, placed, running, shipped, until
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from chassis.ids import new_id
from contracts.envelope import Envelope
from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped
from subscriber import Delivery, Gap, Log, Subscriber
from subscriber.inbox import SequencedInbox, SqlInbox

QUICK = (0.05, 0.1, 0.1)


async def make(
    shop: Shop, engine: AsyncEngine, *, kind: type[SqlInbox] = SqlInbox, **changes: Any
) -> Subscriber:
    """A subscriber that writes down every event it handles."""
    inbox = kind(engine)
    await inbox.create_tables()
    granted = shop.grant("billing")
    made = Subscriber("billing", granted.url, inbox, retry_tiers=QUICK, **changes)

    @made.handles(OrderPlaced, OrderShipped)
    async def note(event: OrderPlaced | OrderShipped, delivery: Delivery) -> None:
        await delivery.tx.execute(
            text("insert into effects values (:id, :what)"),
            {"id": event.order_id, "what": type(event).__name__},
        )

    return made


def effects_are(engine: AsyncEngine, *what: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return [each[1] for each in await effects(engine)] == list(what)

    return check


async def test_an_event_is_handled_once_however_often_it_comes(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine)
    order = new_id()
    async with running(billing):
        await shop.publish(placed(order), cancelled(order), shipped(order))
        await until(effects_are(engine, "OrderPlaced", "OrderShipped"))
        for envelope, data in shop.published:
            assert not await billing.take(envelope, data)
        assert await billing.replay() is not None
    assert len(await effects(engine)) == 2


async def test_a_fault_is_tried_again_and_nothing_of_it_stays(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine)
    tries = []

    @billing.handles(OrderCancelled)
    async def stumble(event: OrderCancelled, delivery: Delivery) -> None:
        await delivery.tx.execute(
            text("insert into effects values (:id, 'cancelled')"), {"id": event.order_id}
        )
        tries.append(delivery.envelope.id)
        if len(tries) < 3:
            raise RuntimeError("not yet")

    async with running(billing):
        await shop.publish(cancelled(new_id()))
        await until(effects_are(engine, "cancelled"))
    assert len(tries) == 3
    assert len(set(tries)) == 1


async def test_what_fails_too_often_is_a_dead_letter_that_can_be_handed_in_again(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine)
    repaired = asyncio.Event()

    @billing.handles(OrderCancelled)
    async def broken(event: OrderCancelled, delivery: Delivery) -> None:
        if not repaired.is_set():
            raise LookupError("no such invoice")
        await delivery.tx.execute(
            text("insert into effects values (:id, 'cancelled')"), {"id": event.order_id}
        )

    async with running(billing):
        await shop.publish(cancelled(new_id()), placed(new_id()))
        await until(effects_are(engine, "OrderPlaced"))
        (dead,) = await letters(shop, 1)
        assert dead.headers["x-error"] == "LookupError"
        assert dead.headers["x-attempts"] == 4
        assert dead.message_id == str(shop.published[0][0].id)
        repaired.set()
        assert await billing.redrive() == 1
        await until(effects_are(engine, "OrderPlaced", "cancelled"))


async def letters(shop: Shop, count: int) -> list[Any]:
    """Look at the dead letters and leave them there."""
    connection = await aio_pika.connect(shop.url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("ext.billing.events.dead")
        found: list[Any] = []

        async def enough() -> bool:
            if (raw := await queue.get(fail=False)) is not None:
                found.append(raw)
            return len(found) >= count

        await until(enough)
        for raw in found:
            await raw.reject(requeue=True)
        return found


async def test_what_cannot_be_read_is_a_dead_letter_at_once(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine)
    good = placed(new_id())
    connection = await aio_pika.connect(shop.url)
    async with connection, running(billing):
        exchange = await (await connection.channel()).get_exchange("events")
        for body, headers in ((b"{", shop.envelope(good).headers()), (b"{}", {})):
            await exchange.publish(
                aio_pika.Message(body, headers={**headers}), "orders.OrderPlaced"
            )
        await shop.publish(good)
        await until(effects_are(engine, "OrderPlaced"))
        errors = {str(each.headers["x-error"]) for each in await letters(shop, 2)}
    assert errors == {"Undecodable", "BadEnvelope"}


async def test_the_broker_may_go_away_and_come_back(shop: Shop, engine: AsyncEngine) -> None:
    billing = await make(shop, engine)
    api = shop.access.api
    async with running(billing):
        await shop.publish(placed(new_id()))
        await until(effects_are(engine, "OrderPlaced"))

        async def cut() -> bool:
            mine = [c for c in api.get("/api/connections").json() if c.get("user") == "ext.billing"]
            for each in mine:
                api.delete(f"/api/connections/{each['name']}")
            return bool(mine)

        await until(cut)
        await shop.publish(placed(new_id()))
        await until(effects_are(engine, "OrderPlaced", "OrderPlaced"))


async def test_a_missing_queue_raises_at_once(shop: Shop, engine: AsyncEngine) -> None:
    billing = await make(shop, engine)
    billing.queue = "other"
    with pytest.raises(ChannelNotFoundEntity):
        await asyncio.wait_for(billing.run(), 30)


async def test_a_cold_start_handles_earlier_and_new_events(shop: Shop, engine: AsyncEngine) -> None:
    early, late = [placed(new_id()) for _ in range(30)], [placed(new_id()) for _ in range(5)]
    await shop.publish(*early)
    billing = await make(shop, engine, kind=SequencedInbox)
    stop = asyncio.Event()
    task = asyncio.create_task(billing.rebuild(stop))
    await billing.listening.wait()
    await shop.publish(*late)

    async def all_received() -> bool:
        return len(await effects(engine)) == 35

    await until(all_received)
    stop.set()
    await task
    assert {each[0] for each in await effects(engine)} == {e.order_id for e in (*early, *late)}


async def test_a_first_event_that_comes_twice_at_once_has_one_effect(
    shop: Shop, engine: AsyncEngine
) -> None:
    """As when a replay overlaps with live events."""
    inbox = SequencedInbox(engine)
    await inbox.create_tables()
    await shop.publish(placed(new_id()))
    ((envelope, _),) = shop.published
    both_at_work = asyncio.Barrier(2)

    async def work(session: AsyncSession) -> None:
        await session.execute(text("insert into effects values (:id, 'seen')"), {"id": new_id()})
        await both_at_work.wait()

    async with asyncio.timeout(60):
        done = await asyncio.gather(inbox(envelope, work), inbox(envelope, work))
    assert sorted(done) == [False, True]
    assert len(await effects(engine)) == 1


async def test_an_empty_log_ends_and_a_late_start_leaves_out_what_was_before(shop: Shop) -> None:
    log = Log(shop.url)
    assert await log.end() is None
    await shop.publish(*(placed(new_id()) for _ in range(3)))
    assert await log.end() == 2
    rest = [each.offset async for batch in log.read(1, until=2) for each in batch]
    assert rest == [1, 2]
    nothing = [batch async for batch in log.read(datetime(2100, 1, 1, tzinfo=UTC), until=2)]
    assert nothing == []


async def test_a_gap_is_noticed_and_healed_from_the_log(shop: Shop, engine: AsyncEngine) -> None:
    billing = await make(shop, engine, kind=SequencedInbox)
    order = new_id()
    await shop.publish(placed(order))  # the queue is not bound yet: this one is only in the log
    async with running(billing):
        await shop.publish(shipped(order))
        (dead,) = await letters(shop, 1)
        assert dead.headers["x-error"] == "Gap"
        assert await effects(engine) == []
        billing.history = Log(billing.url)
        await billing.redrive()
        await until(effects_are(engine, "OrderPlaced", "OrderShipped"))


async def test_a_queue_over_its_length_loses_its_oldest_and_the_gap_heals(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine, kind=SequencedInbox)
    async with running(billing):
        pass
    shop.access.add("billing", ["events"], max_length=2)
    order = new_id()

    async def capped() -> bool:
        found = shop.access.api.get(f"/api/queues/{shop.access.vhost}/ext.billing.events").json()
        return (found.get("effective_policy_definition") or {}).get("max-length") == 2

    await until(capped)
    others = [cancelled(new_id()) for _ in range(20)]
    await shop.publish(placed(order), *others, shipped(order))
    connection = await aio_pika.connect(shop.url)
    async with connection:
        queue = await (await connection.channel()).get_queue("ext.billing.events")
        assert (queue.declaration_result.message_count or 0) <= 2
    billing.url = shop.access.add("billing", ["events"], max_length=1000).url
    billing.history = Log(billing.url)
    async with running(billing):
        await until(effects_are(engine, "OrderPlaced", "OrderShipped"))


async def test_an_inbox_of_ones_own_is_a_callable(shop: Shop) -> None:
    seen: set[UUID] = set()
    transactions: list[str] = []

    async def remember(envelope: Envelope, work: Any) -> bool:
        if envelope.id in seen:
            return False
        await work("my transaction")
        seen.add(envelope.id)
        return True

    audit = Subscriber("audit", shop.grant("audit").url, remember)

    @audit.handles(OrderConfirmed, OrderPlaced)
    async def note(event: OrderPlaced, delivery: Delivery) -> None:
        transactions.append(delivery.tx)

    await shop.publish(placed(new_id()))
    await audit.replay()
    await audit.replay()
    assert transactions == ["my transaction"]
    with pytest.raises(TypeError, match="already"):
        audit.handles(OrderPlaced)(note)


async def test_ids_are_forgotten_when_they_are_old(shop: Shop, engine: AsyncEngine) -> None:
    billing = await make(shop, engine)
    await shop.publish(placed(new_id()))
    await billing.replay()
    assert isinstance(billing.inbox, SqlInbox)
    assert await billing.inbox.forget(days=1) == 0
    async with engine.begin() as connection:
        await connection.execute(text("update subscriber_inbox set received_at = '2020-01-01'"))
    assert await billing.inbox.forget(days=1) == 1


async def test_numbers_are_taken_in_order_and_repeats_do_nothing(
    shop: Shop, engine: AsyncEngine
) -> None:
    billing = await make(shop, engine, kind=SequencedInbox)
    order = new_id()
    await shop.publish(placed(order), cancelled(order), shipped(order), only="")
    one, two, three = shop.published
    with pytest.raises(Gap):
        await billing.take(*two)
    assert [await billing.take(*each) for each in (one, one, two, two, three, one)] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    assert await effects_are(engine, "OrderPlaced", "OrderShipped")()
