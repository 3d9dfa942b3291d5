"""Progress streams: bounded, fed by one query for each order, and ended by the service."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from chassis import client_address
from chassis.ids import new_id
from orders.api.progress import Stream, Streams, StreamsExhausted, TooManyStreams
from orders.settings import StreamLimits
from testkit.harness import CLIENT_ADDRESS

HOME, AWAY = "198.51.100.1", "198.51.100.2"


def limited(orders: Any, **limits: int) -> Streams:
    return Streams(orders.running.database, StreamLimits(**limits))


async def order_of(guest: Any) -> tuple[UUID, dict[str, str]]:
    order = (await guest.check_out()).json()
    return UUID(order["id"]), {"X-Order-Token": order["order_token"]}


async def moved(stream: Stream) -> None:
    """Return once the stream shows a view that it did not show before."""
    seen = stream.view
    async with asyncio.timeout(20):
        while stream.view is seen:
            await stream.moved.wait()
            stream.moved.clear()


@pytest.mark.parametrize("limit", ["per_principal", "per_address", "per_order"])
async def test_each_limit_counts_by_itself_and_is_free_again_after_a_stream(
    orders: Any, limit: str
) -> None:
    streams = limited(orders, **{limit: 2})
    order_id = new_id()
    other = {
        "per_principal": (order_id, "user:b", HOME),
        "per_address": (order_id, "user:a", AWAY),
        "per_order": (new_id(), "user:a", HOME),
    }[limit]
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(streams.follow(order_id, "user:a", HOME))
        with pytest.raises(TooManyStreams) as refused:
            await stack.enter_async_context(streams.follow(order_id, "user:a", HOME))
        assert int(refused.value.headers["Retry-After"]) > 0
        await stack.enter_async_context(streams.follow(*other))
    async with streams.follow(order_id, "user:a", HOME):
        pass
    assert not streams._open
    assert not streams._counts


async def test_an_unreported_address_is_not_counted(orders: Any) -> None:
    streams = limited(orders, per_address=1)
    async with streams.follow(new_id(), "user:a", ""), streams.follow(new_id(), "user:b", ""):
        pass


async def test_a_process_limits_its_streams(orders: Any) -> None:
    streams = limited(orders, per_process=1)
    async with streams.follow(new_id(), "user:a", HOME):
        with pytest.raises(StreamsExhausted) as refused:
            async with streams.follow(new_id(), "user:b", AWAY):
                pass
    assert int(refused.value.headers["Retry-After"]) > 0


async def test_a_refused_stream_names_when_to_retry(orders: Any, guest: Any) -> None:
    order_id, token = await order_of(guest)
    streams: Streams = orders.running.resources.streams
    url = f"/v1/orders/{order_id}/progress"
    async with AsyncExitStack() as stack:
        for number in range(StreamLimits().per_address):
            opened = streams.follow(new_id(), f"user:{number}", CLIENT_ADDRESS)
            await stack.enter_async_context(opened)
        answer = await orders.client.get(url, headers=token)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
        assert int(answer.headers["Retry-After"]) > 0
        await orders.sql("update orders set status = 'cancelled', version = version + 1")
        elsewhere = {**token, client_address.HEADER: AWAY}
        assert (await orders.client.get(url, headers=elsewhere)).status_code == 200
    for _ in range(StreamLimits().per_order + 1):
        assert (await orders.client.get(url, headers=token)).status_code == 200
    assert not streams._open


async def test_all_streams_of_an_order_share_one_query(orders: Any, guest: Any) -> None:
    order_id, _ = await order_of(guest)
    streams: Streams = orders.running.resources.streams
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(streams.follow(order_id, f"user:{number}", HOME))
            for number in range(5)
        ]
        await asyncio.gather(*(moved(stream) for stream in opened))
        await orders.sql("update orders set version = version + 1")
        orders.running.resources.watch.wake(order_id)
        await asyncio.gather(*(moved(stream) for stream in opened))
        assert len({id(stream.view) for stream in opened}) == 1
        late = await stack.enter_async_context(streams.follow(order_id, "user:late", HOME))
        assert late.view is opened[0].view
    assert streams._reader is None


async def test_a_lost_notification_delays_a_stream_by_one_interval(orders: Any, guest: Any) -> None:
    order_id, _ = await order_of(guest)
    streams: Streams = orders.running.resources.streams
    async with streams.follow(order_id, "user:a", HOME) as stream:
        await moved(stream)
        await orders.sql("update orders set version = version + 1")
        await moved(stream)


async def test_streams_end_when_the_process_stops(orders: Any, guest: Any) -> None:
    order_id, token = await order_of(guest)
    orders.running.stopping.set()
    answer = await orders.client.get(f"/v1/orders/{order_id}/progress", headers=token)
    assert answer.status_code == 200
