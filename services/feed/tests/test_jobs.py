"""Copying the log of a real broker: each event once, across restarts, recreation and truncation."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import aio_pika
import pytest
from foreign import Shop, cancelled, placed, shipped, until

from chassis.ids import new_id
from feed import store
from feed.jobs import copy_log
from testkit.harness import Harness

from .conftest import example

Feed = Harness[Any]


def running_on(feed: Feed, shop: Shop) -> Any:
    """The running feed, with the broker of these tests."""
    settings = feed.running.settings.model_copy(update={"broker_url": shop.url})
    return replace(feed.running, settings=settings)


async def positions(feed: Feed) -> list[int]:
    return [row[0] for row in await feed.sql("select position from events order by position")]


@contextlib.asynccontextmanager
async def copying(feed: Feed, shop: Shop, times: int = 1) -> Any:
    tasks = [asyncio.create_task(copy_log(running_on(feed, shop))) for _ in range(times)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_copying_continues_after_a_restart(feed: Feed, shop: Shop) -> None:
    await shop.publish(*(placed(new_id()) for _ in range(5)))

    async def has(count: int) -> bool:
        return await positions(feed) == list(range(count))

    async with copying(feed, shop):
        await until(lambda: has(5))
    await shop.publish(*(placed(new_id()) for _ in range(3)))
    async with copying(feed, shop):
        await until(lambda: has(8))
        await shop.publish(placed(new_id()))
        await until(lambda: has(9))
    stored = await feed.sql("select document from events order by position")
    for (document,), (envelope, data) in zip(stored, shop.published, strict=True):
        assert str(envelope.id).encode() in bytes(document)
        assert bytes(document).endswith(b'"data":' + data + b"}")


async def test_two_processes_store_each_event_once(feed: Feed, shop: Shop) -> None:
    async with copying(feed, shop, times=2):
        await shop.publish(*(placed(new_id()) for _ in range(40)))

        async def all_stored() -> bool:
            return await positions(feed) == list(range(40))

        await until(all_stored)


async def test_a_redelivered_event_stays_at_its_first_position(feed: Feed, shop: Shop) -> None:
    order = new_id()
    await shop.publish(placed(order), shipped(order))
    first, second = shop.published
    await shop.repeat(0, 1)
    await shop.publish(cancelled(order))
    third = shop.published[-1]
    wanted = [str(envelope.id) for envelope, _ in (first, second, third)]

    async def all_stored() -> bool:
        return await ids(feed) == wanted

    async with copying(feed, shop, times=2):
        await until(all_stored)
    assert await positions(feed) == [0, 1, 4]
    await shop.repeat(2)
    async with copying(feed, shop):
        await shop.publish(placed(new_id()))
        wanted.append(str(shop.published[-1][0].id))
        await until(all_stored)
    assert await positions(feed) == [0, 1, 4, 6]


async def recreate_log(shop: Shop, **limits: Any) -> None:
    """Delete the log and declare it again."""
    connection = await aio_pika.connect(shop.url)
    async with connection:
        channel = await connection.channel()
        await channel.queue_delete("events.log")
        kind = {"x-queue-type": "stream", **limits}
        log = await channel.declare_queue("events.log", durable=True, arguments=kind)
        await log.bind("events", "#")


async def ids(feed: Feed) -> list[str]:
    query = "select convert_from(document, 'utf8')::json ->> 'id' from events order by position"
    return [row[0] for row in await feed.sql(query)]


@pytest.mark.parametrize("published_before_copying", [0, 1, 5])
async def test_a_recreated_log_is_appended_behind_the_former(
    feed: Feed, shop: Shop, published_before_copying: int
) -> None:
    await shop.publish(*(placed(new_id()) for _ in range(3)))

    async def all_stored() -> bool:
        return await ids(feed) == [str(envelope.id) for envelope, _ in shop.published]

    async with copying(feed, shop):
        await until(all_stored)
    await recreate_log(shop)
    await shop.publish(*(placed(new_id()) for _ in range(published_before_copying)))
    for _ in range(2):
        # The second pass finds the log started already; in each, two processes race to start it.
        async with copying(feed, shop, times=2):
            await shop.publish(placed(new_id()))
            await until(all_stored)
    assert await positions(feed) == list(range(5 + published_before_copying))


async def test_events_of_a_replaced_log_are_no_longer_appended(feed: Feed, shop: Shop) -> None:
    await shop.publish(placed(new_id()))
    async with feed.transaction() as tx:
        await store.append_events(tx, [example("orders.OrderPlaced", 0)])
        seen = await store.get_log_position(tx)
    async with feed.transaction() as tx:
        position = await store.start_log(tx, seen)
        assert (position.start, position.offset) == (1, None)
        assert await store.start_log(tx, seen) == position
    with pytest.raises(store.LogReplaced):
        async with feed.transaction() as tx:
            await store.append_events(tx, [example("orders.OrderPlaced", 1)])
    assert await positions(feed) == [0]


async def test_a_cursor_before_a_gap_in_the_log_is_refused_as_expired(
    feed: Feed, shop: Shop, grant: Any
) -> None:
    headers = await grant("billing", "*")
    await recreate_log(
        shop, **{"x-max-length-bytes": 20_000, "x-stream-max-segment-size-bytes": 5_000}
    )
    await shop.publish(placed(new_id()))

    async def has(count: int) -> bool:
        return len(await positions(feed)) == count

    async with copying(feed, shop):
        await until(lambda: has(1))
    for _ in range(20):
        await shop.publish(*(placed(new_id()) for _ in range(5)))

    async def newest_stored() -> bool:
        return (await ids(feed))[-1] == str(shop.published[-1][0].id)

    async with copying(feed, shop):
        await until(newest_stored)
    stored = await positions(feed)
    assert stored[0] > 1, "the log was not truncated"
    expired = await feed.client.get("/v1/events", params={"after": "0"}, headers=headers)
    assert (expired.status_code, expired.json()["code"]) == (410, "cursor_expired")
    from_here = {"after": str(stored[0] - 1), "limit": "1"}
    page = await feed.client.get("/v1/events", params=from_here, headers=headers)
    assert page.json()["next_cursor"] == str(stored[0])
