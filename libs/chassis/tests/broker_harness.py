"""The sample service at work on a real RabbitMQ, with a listener bound to every event."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import pytest_asyncio
import topology
from aio_pika.abc import AbstractChannel, AbstractQueue
from sample.service import bus, service

from chassis.broker import Broker
from chassis.ids import new_id, utcnow
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from contracts.envelope import Envelope
from contracts.inventory import ReserveStock, WantedLine
from contracts.message import Event, Message
from testkit.harness import Harness, new_traceparent, running_service
from testkit.servers import setting

TIERS = (0.05, 0.1)


def address(user: str | None = None) -> str:
    """The tests' virtual host as the admin, or as a user whose password is its name."""
    found = urlsplit(setting("TEST_BROKER_URL"))
    login = f"{user}:{user}" if user else f"{found.username}:{found.password}"
    return f"{found.scheme}://{login}@{found.hostname}:{found.port}/{topology.VHOST}"


@dataclass
class BrokerHarness:
    """The sample service on the broker, with a listener bound to everything."""

    harness: Harness[Any]
    channel: AbstractChannel
    published: AbstractQueue
    dead: AbstractQueue
    broker: Broker
    relay: Relay
    consumer: Consumer

    async def send(self, message: Message, sender: str = "orders", **properties: Any) -> UUID:
        """Publish as another service would."""
        message_id = properties.pop("message_id", None) or new_id()
        envelope = Envelope(
            id=message_id,
            source=message.source(),
            type=message.type_name(),
            subject=message.subject(),
            time=utcnow(),
            sequence=message.sequence if isinstance(message, Event) else None,
            correlation_id=message.subject(),
            actor="test",
            traceparent=new_traceparent(),
        )
        body = properties.pop("body", None) or message.encode()
        headers = {**envelope.headers(), **properties.pop("headers", {})}
        raw = aio_pika.Message(
            body,
            headers=headers,
            message_id=str(message_id),
            type=message.type_name(),
            user_id=sender,
            **properties,
        )
        exchange = await self.as_user(sender, message.exchange())
        await exchange.publish(raw, routing_key=message.routing_key())
        return message_id

    async def as_user(self, sender: str, exchange: str = "commands") -> Any:
        """An exchange on a connection of the sender's own."""
        await topology.user(setting("TEST_BROKER_API"), sender)
        connection = await aio_pika.connect(address(sender))
        self.open.append(connection)
        channel = await connection.channel(on_return_raises=True)
        return await channel.get_exchange(exchange)

    open: list[Any]


async def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until a condition holds, and fail loudly when it never does."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


async def take(queue: AbstractQueue, seconds: float = 60) -> Any:
    """The next message of a queue."""

    async def get() -> Any:
        return await queue.get(fail=False, no_ack=True)

    return await until(get, seconds)


@pytest_asyncio.fixture
async def line(template: str) -> AsyncIterator[BrokerHarness]:
    api = setting("TEST_BROKER_API")
    await topology.vhost(api)
    await topology.user(api, "sample")
    async with topology.channel(address()) as channel:
        await topology.remove(channel, "sample")
        keys = [(kind.exchange(), kind.routing_key()) for kind in bus.handled]
        await topology.declare(channel, "sample", keys)
        published = await channel.declare_queue(exclusive=True)
        await published.bind("events", "#")
        dead = await channel.get_queue("svc.sample.dead")
        async for harness in running_service(service, template, broker_url=address("sample")):
            broker = Broker(address("sample"), "sample")
            relay = Relay(harness.running.database, broker, "sample", sweep_interval=0.2)
            harness.running.database.on_commit = relay.wake
            consumer = Consumer(bus, harness.running.database, broker, TIERS)
            tasks = [asyncio.create_task(relay.run()), asyncio.create_task(consumer.run())]
            await until(consumer.is_consuming)
            made = BrokerHarness(
                harness, channel, published, dead, broker, relay, consumer, open=[]
            )
            yield made
            await consumer.drain()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await broker.close()
            for connection in made.open:
                await connection.close()
        await topology.remove(channel, "sample")


def order(quantity: int = 1) -> ReserveStock:
    wanted = WantedLine(line_id=new_id(), variant_id=new_id(), quantity=quantity)
    return ReserveStock(operation_id=new_id(), order_id=new_id(), lines=[wanted])
