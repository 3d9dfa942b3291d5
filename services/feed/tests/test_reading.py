"""Reading the log on a real broker: from where the feed is, once, and never from another log."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import aio_pika
import pytest
from foreign import Shop, placed, until

from chassis.ids import new_id
from chassis.testing import Harness
from feed.reading import LogIsYounger, follow_log

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
    yield tasks
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


async def test_a_log_made_anew_is_not_taken_for_the_old_one(feed: Feed, shop: Shop) -> None:
    await shop.say(*(placed(new_id()) for _ in range(3)))

    async def has_three() -> bool:
        return len(await positions(feed)) == 3

    async with following(feed, shop):
        await until(has_three)
    connection = await aio_pika.connect(shop.url)
    async with connection:
        channel = await connection.channel()
        await channel.queue_delete("events.log")
        kind = {"x-queue-type": "stream"}
        log = await channel.declare_queue("events.log", durable=True, arguments=kind)
        await log.bind("events", "#")
    await shop.say(placed(new_id()))
    with pytest.raises(LogIsYounger):
        await asyncio.wait_for(follow_log(over(feed, shop)), 30)
    assert await positions(feed) == [0, 1, 2]
