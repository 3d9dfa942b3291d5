"""What another system may do on the broker, and all that it may not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ProbableAuthenticationError
from foreign import TIMEOUT, Shop, placed

from cartwright.refusals import Refusal
from chassis.ids import new_id

LETTER = aio_pika.Message(b"{}")


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    """To an exchange, or with "" straight into the queue called `key`."""
    place = channel.default_exchange
    if exchange:
        place = await channel.get_exchange(exchange, ensure=False)
    await place.publish(LETTER, key)


async def bind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, "#")


async def read(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get()


async def declare(channel: AbstractChannel, queue: str) -> None:
    await channel.declare_queue(queue, durable=True, arguments={"x-overflow": "reject-publish"})


async def delete(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_delete(queue)


async def declare_exchange(channel: AbstractChannel, name: str) -> None:
    await channel.declare_exchange(name, durable=True)


ATTEMPTS: dict[str, tuple[Callable[..., Awaitable[None]], tuple[str, ...]]] = {
    "publish an event": (publish, ("events", "orders.OrderPlaced")),
    "give a command": (publish, ("commands", "inventory.ReserveStock")),
    "write into a service's queue": (publish, ("", "svc.orders")),
    "write into the log": (publish, ("", "events.log")),
    "read a service's queue": (read, ("svc.orders",)),
    "read another system's queue": (read, ("ext.audit.events",)),
    "consume commands": (bind, ("ext.billing.events", "commands")),
    "divert a service's queue": (bind, ("svc.orders", "events")),
    "declare a queue": (declare, ("ext.billing.more",)),
    "declare an exchange": (declare_exchange, ("ext.billing.more",)),
    "delete its queue": (delete, ("ext.billing.events",)),
    "delete the log": (delete, ("events.log",)),
}


async def tried(channel: AbstractChannel, attempt: str) -> None:
    """One thing a foreign system may try."""
    act, arguments = ATTEMPTS[attempt]
    await act(channel, *arguments)


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_foreign_system_may_not(shop: Shop, attempt: str) -> None:
    shop.grant("audit")
    connection = await aio_pika.connect(shop.grant("billing").url)
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await tried(channel, attempt)


async def test_the_administrator_may_so_the_refusals_mean_something(shop: Shop) -> None:
    shop.grant("billing")
    connection = await aio_pika.connect(shop.url)
    async with connection:
        for attempt in ("publish an event", "write into a service's queue", "consume commands"):
            await tried(await connection.channel(), attempt)


async def test_it_may_consume_events_and_read_the_log(shop: Shop) -> None:
    connection = await aio_pika.connect(shop.grant("billing").url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        mine = await channel.get_queue("ext.billing.events")
        await mine.bind("events", "orders.#")
        log = await channel.get_queue("events.log")
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        await shop.publish(placed(new_id()))
        tag = await log.consume(arrived.put, arguments={"x-stream-offset": "first"})
        await asyncio.wait_for(arrived.get(), TIMEOUT)
        await log.cancel(tag)
        await mine.unbind("events", "orders.#")


async def test_its_queue_drops_the_oldest_and_never_refuses(shop: Shop) -> None:
    shop.grant("billing", max_length=5)
    api, vhost = shop.access.api, shop.access.vhost
    policy = api.get(f"/api/policies/{vhost}/ext.billing.events").json()
    assert policy["definition"] == {
        "max-length": 5,
        "overflow": "drop-head",
        # RabbitMQ 4 would drop what was delivered 20 times on connections that were lost.
        "delivery-limit": 10**9,
    }
    assert policy["apply-to"] == "queues"


async def test_a_new_grant_changes_the_password_and_leaves_the_queue(shop: Shop) -> None:
    old, new = shop.grant("billing").url, shop.grant("billing").url
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(old)
    await (await aio_pika.connect(new)).close()


async def test_what_is_removed_is_gone(shop: Shop) -> None:
    granted = shop.grant("gone")
    assert "gone" in shop.access.systems()
    assert "ext.gone.events.dead" in shop.access.remove("gone")
    assert shop.access.queues("gone") == []
    assert "gone" not in shop.access.systems()
    exchanges = shop.access.api.get(f"/api/exchanges/{shop.access.vhost}").json()
    assert not [each for each in exchanges if each["name"].startswith("ext.gone")]
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(granted.url)
    with pytest.raises(Refusal, match="no subscriber gone"):
        shop.access.remove("gone")


@pytest.mark.parametrize("name", ["", "Billing", "a", "ext.x", "x" * 31, "b-c", "../x"])
def test_a_name_that_is_none_is_refused(shop: Shop, name: str) -> None:
    with pytest.raises(Refusal, match="a name is"):
        shop.grant(name)


def test_it_has_no_login_for_the_management(shop: Shop) -> None:
    url = httpx.URL(shop.grant("billing").url.replace("amqp://", "http://"))
    login = (url.username, url.password)
    assert httpx.get(f"{shop.access.api.base_url}/api/queues", auth=login).status_code == 401


async def test_a_connection_of_its_own_is_limited(shop: Shop) -> None:
    granted = shop.grant("billing")
    open_ones = [await aio_pika.connect(granted.url) for _ in range(20)]
    try:
        with pytest.raises(AMQPError, match="Close"):
            await aio_pika.connect(granted.url)
    finally:
        for each in open_ones:
            await each.close()
