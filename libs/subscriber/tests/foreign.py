"""A shop that publishes on a real broker, and the effects in another system."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cartwright.access import Broker, Granted
from chassis.ids import new_id
from contracts import registry
from contracts.envelope import Envelope
from contracts.message import Event
from contracts.money import Money
from contracts.orders import OrderCancelled, OrderPlaced, OrderShipped
from subscriber import Subscriber
from testkit.databases import database_url, postgres_url
from testkit.harness import new_traceparent
from testkit.servers import setting

TIMEOUT = 30.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Shop:
    """A broker as the suite has it; `publish` publishes as a service would."""

    url: str
    access: Broker
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    published: list[tuple[Envelope, bytes]] = field(default_factory=list)

    async def publish(self, *events: Event, only: str = "events") -> None:
        """Publish events with the next numbers of their aggregates; `only` "" does not send them."""
        new = [(self.envelope(event), event.encode()) for event in events]
        self.published += new
        if only:
            await self._publish(new)

    async def repeat(self, *places: int) -> None:
        """Publish events again, as after a crash between publishing and deleting them."""
        await self._publish([self.published[place] for place in places])

    async def _publish(self, messages: Sequence[tuple[Envelope, bytes]]) -> None:
        connection = await aio_pika.connect(self.url)
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange("events", ensure=False)
            for envelope, data in messages:
                message = aio_pika.Message(
                    data, headers={**envelope.headers()}, message_id=str(envelope.id)
                )
                key = registry.MESSAGES[envelope.type].routing_key()
                await exchange.publish(message, routing_key=key)

    def envelope(self, event: Event) -> Envelope:
        key = (event.source(), event.subject())
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return Envelope(
            id=new_id(),
            source=event.source(),
            type=event.type_name(),
            subject=event.subject(),
            time=datetime.now(UTC),
            sequence=self._numbers[key],
            correlation_id=event.subject(),
            actor="test",
            traceparent=new_traceparent(),
        )

    def grant(self, system: str, max_length: int = 1000) -> Granted:
        return self.access.add(system, ["events"], max_length)


def placed(order_id: UUID) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id,
        order_number="2026-000001",
        cart_id=new_id(),
        lines=[],
        total=Money(amount=100, currency="USD"),
        payment_method="card",
        placed_at=NOW,
    )


def shipped(order_id: UUID) -> OrderShipped:
    return OrderShipped(order_id=order_id, order_number="2026-000001", shipped_at=NOW)


def cancelled(order_id: UUID) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        order_number="2026-000001",
        cart_id=new_id(),
        reason="customer_request",
        cancelled_at=NOW,
    )


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def effects(engine: AsyncEngine) -> list[tuple[UUID, str]]:
    async with engine.connect() as connection:
        found = await connection.execute(text("select id, what from effects order by ctid"))
        return [(row[0], row[1]) for row in found]


@asynccontextmanager
async def running(subscriber: Subscriber) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(subscriber.run(stop))
    listening = asyncio.create_task(subscriber.listening.wait())
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if task.done():
        await task
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, TIMEOUT)


@pytest.fixture(scope="session")
def vhost() -> Iterator[tuple[httpx.Client, str, str]]:
    """The management API, the AMQP address without a login, and the name of the virtual host."""
    found = urlsplit(setting("TEST_BROKER_URL"))
    name = f"subscriber-{secrets.token_hex(4)}"
    with httpx.Client(base_url=setting("TEST_BROKER_API"), timeout=30) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        api.put(f"/api/permissions/{name}/{found.username}", json=everything).raise_for_status()
        yield api, f"amqp://{found.hostname}:{found.port}", name
        api.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest_asyncio.fixture
async def shop(vhost: tuple[httpx.Client, str, str]) -> AsyncIterator[Shop]:
    api, amqp, name = vhost
    found = urlsplit(setting("TEST_BROKER_URL"))
    url = f"amqp://{found.username}:{found.password}@{found.hostname}:{found.port}/{name}"
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for exchange in ("events", "commands"):
            await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        await channel.declare_exchange("snapshots", aio_pika.ExchangeType.DIRECT, durable=True)
        log = await channel.declare_queue(
            "events.log", durable=True, arguments={"x-queue-type": "stream"}
        )
        await log.bind("events", "#")
        services = await channel.declare_queue(
            "svc.orders", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await services.bind("commands", "orders.#")
        made = Shop(url, Broker(api, amqp, name))
        yield made
        for system in made.access.systems():
            made.access.remove(system)
        await channel.queue_delete("events.log")


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """A database of the test's own."""
    name = f"subscriber_{secrets.token_hex(6)}"
    admin = create_async_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"create database {name}"))
    made = create_async_engine(database_url(name))
    async with made.begin() as connection:
        await connection.execute(text("create table orders (id uuid primary key, status text)"))
        await connection.execute(text("create table effects (id uuid, what text)"))
    yield made
    await made.dispose()
    async with admin.connect() as connection:
        await connection.execute(text(f"drop database {name} with (force)"))
    await admin.dispose()
