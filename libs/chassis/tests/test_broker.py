"""The message path on a real RabbitMQ: relay, consumer, retries, dead letters, order, drain."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import pytest
import pytest_asyncio
import topology
from aio_pika.abc import AbstractChannel, AbstractQueue
from sample.service import bus, service
from sqlalchemy import text

from chassis import outbox
from chassis.broker import Broker, TopologyMismatch
from chassis.consumer import Consumer
from chassis.context import new_traceparent
from chassis.ids import new_id, utcnow
from chassis.relay import Relay
from chassis.testing import Harness, running_service
from contracts.envelope import Envelope
from contracts.inventory import ReserveStock, StockReleased, StockReserved, WantedLine
from contracts.message import Command, Message

TIERS = (0.05, 0.1)


def address(user: str | None = None) -> str:
    """The tests' virtual host as the admin, or as a user whose password is its name."""
    found = urlsplit(os.environ["TEST_BROKER_URL"])
    login = f"{user}:{user}" if user else f"{found.username}:{found.password}"
    return f"{found.scheme}://{login}@{found.hostname}:{found.port}/{topology.VHOST}"


@dataclass
class Line:
    """The sample service on the broker, with a listener bound to everything."""

    harness: Harness[Any]
    channel: AbstractChannel
    heard: AbstractQueue
    dead: AbstractQueue
    broker: Broker
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
            correlation_id=message.subject(),
            actor="test",
            traceparent=new_traceparent(),
        )
        body = properties.pop("body", None) or message.encode()
        headers = {**envelope.headers(), **properties.pop("headers", {})}
        raw = aio_pika.Message(
            body, headers=headers, message_id=str(message_id), user_id=sender, **properties
        )
        exchange = await self.as_user(sender)
        await exchange.publish(raw, routing_key=message.routing_key())
        return message_id

    async def as_user(self, sender: str) -> Any:
        """The commands exchange on a connection of the sender's own."""
        await topology.user(os.environ["TEST_BROKER_API"], sender)
        connection = await aio_pika.connect(address(sender))
        self.open.append(connection)
        channel = await connection.channel(on_return_raises=True)
        return await channel.get_exchange("commands")

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
async def line(template: str) -> AsyncIterator[Line]:
    api = os.environ["TEST_BROKER_API"]
    await topology.vhost(api)
    await topology.user(api, "sample")
    async with topology.channel(address()) as channel:
        await topology.remove(channel, "sample")
        keys = [(kind.exchange(), kind.routing_key()) for kind in bus.handled]
        await topology.declare(channel, "sample", keys)
        heard = await channel.declare_queue(exclusive=True)
        await heard.bind("events", "#")
        dead = await channel.get_queue("svc.sample.dead")
        async for harness in running_service(service, template):
            broker = Broker(address("sample"), "sample")
            relay = Relay(harness.running.database, broker, "sample", sweep_interval=0.2)
            harness.running.database.on_commit = relay.wake
            consumer = Consumer(bus, harness.running.database, broker, TIERS)
            tasks = [asyncio.create_task(relay.run()), asyncio.create_task(consumer.run())]
            await until(consumer.is_consuming)
            made = Line(harness, channel, heard, dead, broker, consumer, open=[])
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


async def test_a_command_comes_in_and_its_answer_goes_out(line: Line) -> None:
    command = order()
    sent = await line.send(command)
    answer = await take(line.heard)

    assert answer.routing_key == "inventory.StockReserved"
    assert answer.headers["cloudEvents:causationid"] == str(sent)
    assert answer.headers["cloudEvents:sequence"] == 1
    assert answer.user_id == "sample"
    assert StockReserved.decode(answer.body).order_id == command.order_id
    assert await line.harness.sql("select * from outbox") == []


async def test_a_hundred_commands_are_answered_once_each(line: Line) -> None:
    commands = [order() for _ in range(100)]
    exchange = await line.as_user("orders")
    await asyncio.gather(*(line.send(c) for c in commands[:3]))
    for command in commands[3:]:
        envelope = Envelope(
            id=new_id(),
            source="/inventory",
            type=command.type_name(),
            subject=command.subject(),
            time=utcnow(),
            correlation_id=command.subject(),
            actor="t",
            traceparent="x",
        )
        raw = aio_pika.Message(command.encode(), headers=envelope.headers(), user_id="orders")
        await exchange.publish(raw, routing_key=command.routing_key())
    answered = [StockReserved.decode((await take(line.heard)).body) for _ in commands]

    assert {a.order_id for a in answered} == {c.order_id for c in commands}


async def test_poison_is_retried_then_dead_while_its_batch_is_served(line: Line) -> None:
    good = [order() for _ in range(5)]
    bad = order(666)
    for command in (*good[:2], bad, *good[2:]):
        await line.send(command)
    answered = {StockReserved.decode((await take(line.heard)).body).order_id for _ in good}
    dead = await take(line.dead)

    assert answered == {command.order_id for command in good}
    assert dead.headers["x-attempts"] == len(TIERS) + 1
    assert dead.headers["x-error"] == "ValueError"
    assert dead.headers["x-sender"] == "orders"
    assert line.consumer.retried == len(TIERS)


@pytest.mark.parametrize("fault", ["json", "schema", "type", "sender", "envelope", "age"])
async def test_what_can_never_be_handled_is_dead_at_once(line: Line, fault: str) -> None:
    command = order()
    match fault:
        case "json":
            await line.send(command, body=b"{not json")
        case "schema":
            await line.send(command, body=json.dumps({"order_id": 7}).encode())
        case "type":
            await line.send(command, headers={"cloudEvents:type": "cartwright.inventory.X.v9"})
        case "sender":
            await line.send(command, sender="cart")
        case "envelope":
            await line.send(command, headers={"cloudEvents:id": "not an id"})
        case "age":
            await line.send(command, message_id=UUID("01700000-0000-7000-8000-000000000000"))
    dead = await take(line.dead)

    assert dead.headers["x-error"] == "Undeliverable"
    assert dead.headers["x-attempts"] == 1
    assert await line.harness.sql("select * from jars") == []


async def test_an_unroutable_message_is_parked_and_stops_nobody(line: Line) -> None:
    await line.heard.unbind("events", "#")
    async with line.harness.transaction() as tx:
        outbox.add(tx, StockReleased(order_id=new_id()).numbered(1))

    async def parked() -> Any:
        return await line.harness.sql("select * from outbox where parked_at is not null")

    await until(parked)
    await line.heard.bind("events", "#")
    await line.send(order())
    assert (await take(line.heard)).routing_key == "inventory.StockReserved"
    await line.harness.sql("update outbox set parked_at = now() - interval '1 hour'")
    assert (await take(line.heard)).routing_key == "inventory.StockReleased"


async def test_four_relays_keep_the_order_of_every_aggregate(line: Line) -> None:
    relays = [
        Relay(line.harness.running.database, line.broker, "sample", batch=20, sweep_interval=0.1)
        for _ in range(3)
    ]
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    orders = [new_id() for _ in range(10)]
    for number in range(1, 31):
        async with line.harness.transaction() as tx:
            for order_id in orders:
                outbox.add(tx, StockReleased(order_id=order_id).numbered(number))
        for relay in relays:
            relay.wake({outbox.shard_of(str(order_id)) for order_id in orders})
    seen: dict[str, list[int]] = {}
    for _ in range(300):
        message = await take(line.heard)
        seen.setdefault(str(message.headers["cloudEvents:subject"]), []).append(
            int(str(message.headers["cloudEvents:sequence"]))
        )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(numbers == list(range(1, 31)) for numbers in seen.values())


async def test_draining_finishes_what_is_in_flight(line: Line) -> None:
    for _ in range(10):
        await line.send(order())
    await line.consumer.drain()
    handled = line.consumer.handled

    async with line.harness.running.database.engine.connect() as connection:
        jars = (await connection.execute(text("select count(*) from jars"))).scalar_one()
    assert jars == handled
    assert not await line.consumer.is_consuming()


async def test_a_missing_queue_is_named(line: Line) -> None:
    with pytest.raises(TopologyMismatch, match=r"svc\.nowhere"):
        await line.broker.queue("svc.nowhere", 1)


def test_commands_know_their_senders() -> None:
    assert issubclass(ReserveStock, Command)
    assert ReserveStock.senders == ("orders",)
