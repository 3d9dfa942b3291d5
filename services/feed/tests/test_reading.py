"""Reading the log on a real broker: from where the feed is, once, and never from another log."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import aio_pika
import pytest
from foreign import Shop, cancelled, placed, shipped, until

from chassis.ids import new_id
from chassis.testing import Harness
from feed import store
from feed.reading import follow_log

from .conftest import example

Feed = Harness[Any]


def over(feed: Feed, shop: Shop) -> Any:
    """What runs, with the broker of these tests."""
    settings = feed.running.settings.model_copy(update={"broker_url": shop.url})
    return replace(feed.running, settings=settings)


async def positions(feed: Feed) -> list[int]:
    return [row[0] for row in await feed.sql("select position from events order by position")]


@contextlib.asynccontextmanager
async def following(feed: Feed, shop: Shop, times: int = 1) -> Any:
    tasks = [asyncio.create_task(follow_log(over(feed, shop))) for _ in range(times)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_log_is_kept_and_gone_on_with_after_a_stop(feed: Feed, shop: Shop) -> None:
    await shop.say(*(placed(new_id()) for _ in range(5)))

    async def has(count: int) -> bool:
        return await positions(feed) == list(range(count))

    async with following(feed, shop):
        await until(lambda: has(5))
    await shop.say(*(placed(new_id()) for _ in range(3)))
    async with following(feed, shop):
        await until(lambda: has(8))
        await shop.say(placed(new_id()))
        await until(lambda: has(9))
    kept = await feed.sql("select document from events order by position")
    for (document,), (envelope, data) in zip(kept, shop.said, strict=True):
        assert str(envelope.id).encode() in bytes(document)
        assert bytes(document).endswith(b'"data":' + data + b"}")


async def test_two_readers_keep_each_event_once(feed: Feed, shop: Shop) -> None:
    async with following(feed, shop, times=2):
        await shop.say(*(placed(new_id()) for _ in range(40)))

        async def all_there() -> bool:
            return await positions(feed) == list(range(40))

        await until(all_there)


async def test_an_event_that_was_sent_again_stands_where_it_stood_first(
    feed: Feed, shop: Shop
) -> None:
    order = new_id()
    await shop.say(placed(order), shipped(order))
    first, second = shop.said
    await shop.repeat(0, 1)
    await shop.say(cancelled(order))
    third = shop.said[-1]
    wanted = [str(envelope.id) for envelope, _ in (first, second, third)]

    async def all_there() -> bool:
        return await ids(feed) == wanted

    async with following(feed, shop, times=2):
        await until(all_there)
    assert await positions(feed) == [0, 1, 4]
    await shop.repeat(2)
    async with following(feed, shop):
        await shop.say(placed(new_id()))
        wanted.append(str(shop.said[-1][0].id))
        await until(all_there)
    assert await positions(feed) == [0, 1, 4, 6]


async def renewed(shop: Shop, **limits: Any) -> None:
    """The log is lost, and made anew."""
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


@pytest.mark.parametrize("said_before_it_is_read", [0, 1, 5])
async def test_a_log_made_anew_is_held_behind_the_one_before(
    feed: Feed, shop: Shop, said_before_it_is_read: int
) -> None:
    await shop.say(*(placed(new_id()) for _ in range(3)))

    async def holds_all() -> bool:
        return await ids(feed) == [str(envelope.id) for envelope, _ in shop.said]

    async with following(feed, shop):
        await until(holds_all)
    await renewed(shop)
    await shop.say(*(placed(new_id()) for _ in range(said_before_it_is_read)))
    for _ in range(2):
        # A second start finds what the first one did, also when two find it at once.
        async with following(feed, shop, times=2):
            await shop.say(placed(new_id()))
            await until(holds_all)
    assert await positions(feed) == list(range(5 + said_before_it_is_read))


async def test_a_reader_of_the_log_before_keeps_nothing_more(feed: Feed, shop: Shop) -> None:
    await shop.say(placed(new_id()))
    async with feed.transaction() as tx:
        await store.keep(tx, [example("orders.OrderPlaced", 0)])
        seen = await store.get_place(tx)
    async with feed.transaction() as tx:
        place = await store.begin_anew(tx, seen)
        assert (place.start, place.offset) == (1, None)
        assert await store.begin_anew(tx, seen) == place
    with pytest.raises(store.LogWasRenewed):
        async with feed.transaction() as tx:
            await store.keep(tx, [example("orders.OrderPlaced", 1)])
    assert await positions(feed) == [0]


async def test_over_a_hole_in_the_log_nobody_reads_unknowingly(
    feed: Feed, shop: Shop, grant: Any
) -> None:
    headers = await grant("billing", "*")
    await renewed(shop, **{"x-max-length-bytes": 20_000, "x-stream-max-segment-size-bytes": 5_000})
    await shop.say(placed(new_id()))

    async def has(count: int) -> bool:
        return len(await positions(feed)) == count

    async with following(feed, shop):
        await until(lambda: has(1))
    for _ in range(20):
        await shop.say(*(placed(new_id()) for _ in range(5)))

    async def holds_the_newest() -> bool:
        return (await ids(feed))[-1] == str(shop.said[-1][0].id)

    async with following(feed, shop):
        await until(holds_the_newest)
    held = await positions(feed)
    assert held[0] > 1, "the log forgot nothing"
    expired = await feed.client.get("/v1/events", params={"after": "0"}, headers=headers)
    assert (expired.status_code, expired.json()["code"]) == (410, "cursor_expired")
    from_here = {"after": str(held[0] - 1), "limit": "1"}
    page = await feed.client.get("/v1/events", params=from_here, headers=headers)
    assert page.json()["next_cursor"] == str(held[0])
