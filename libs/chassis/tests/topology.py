"""The broker topology of one service, declared on the tests' broker and removed after them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractQueue

from testkit.harness import PLAIN

TIERS = 4
# As good as none; RabbitMQ 3.10 takes no other word for it, and 4.0 has a limit of its own.
DELIVERY_LIMIT = 1_000_000_000
VHOST = "chassis"


async def declare(channel: AbstractChannel, service: str, keys: list[tuple[str, str]]) -> None:
    """What deploy/rabbitmq/definitions.json holds for one service; `keys` are (exchange, key)."""
    for name in ("events", "commands"):
        await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
    retry = await channel.declare_exchange(f"svc.{service}.retry", durable=True)
    work = await channel.declare_queue(
        f"svc.{service}", durable=True, arguments={"x-queue-type": "quorum"}
    )
    await work.bind(retry, "work")
    for exchange, key in keys:
        await work.bind(exchange, key)
    for tier in range(1, TIERS + 1):
        waiting = await channel.declare_queue(
            f"svc.{service}.retry.{tier}",
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": f"svc.{service}",
            },
        )
        await waiting.bind(retry, str(tier))
    dead = await channel.declare_queue(
        f"svc.{service}.dead", durable=True, arguments={"x-queue-type": "quorum"}
    )
    await dead.bind(retry, "dead")


async def declare_log(channel: AbstractChannel) -> AbstractQueue:
    """The stream of all events, empty; it also makes every event routable."""
    await channel.queue_delete("events.log")
    log = await channel.declare_queue(
        "events.log", durable=True, arguments={"x-queue-type": "stream"}
    )
    await log.bind("events", "#")
    return log


async def remove(channel: AbstractChannel, service: str) -> None:
    """Take the queues and the retry exchange away again."""
    for suffix in ("", ".dead", *(f".retry.{tier}" for tier in range(1, TIERS + 1))):
        await channel.queue_delete(f"svc.{service}{suffix}")
    await channel.exchange_delete(f"svc.{service}.retry")


async def vhost(api: str) -> None:
    """A virtual host of these tests' own: on the suite's, its services would receive the messages."""
    async with httpx.AsyncClient(base_url=api, verify=PLAIN) as client:
        (await client.put(f"/api/vhosts/{VHOST}")).raise_for_status()
        policy = {"pattern": r"^svc\.", "definition": {"delivery-limit": DELIVERY_LIMIT}}
        (await client.put(f"/api/policies/{VHOST}/svc", json=policy)).raise_for_status()
    await user(api, "admin", password=None)


async def user(api: str, name: str, password: str | None = "") -> None:
    """A broker user that may do everything: permissions are the definitions' tests."""
    async with httpx.AsyncClient(base_url=api, verify=PLAIN) as client:
        if password is not None:
            await client.put(f"/api/users/{name}", json={"password": name, "tags": ""})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        answer = await client.put(f"/api/permissions/{VHOST}/{name}", json=everything)
        answer.raise_for_status()


@asynccontextmanager
async def channel(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of the tests' own."""
    connection = await aio_pika.connect(url)
    async with connection:
        yield await connection.channel(on_return_raises=True)
