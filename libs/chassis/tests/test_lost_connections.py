"""Connections to the broker that are closed all the time: nothing is lost, dead or out of order."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import aiormq
from aio_pika.abc import AbstractQueue
from broker_harness import TIERS, BrokerHarness, address, order, take, until
from connections import closed_again_and_again
from sample.service import bus

from chassis import outbox
from chassis.broker import Broker
from chassis.ids import new_id
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from contracts.inventory import StockReleased

# A quorum queue's own limit of deliveries, where no policy sets another.
LIMIT_OF_RABBITMQ_4 = 20


async def first_seen(queue: AbstractQueue, wanted: int) -> dict[str, list[int]]:
    """The numbers of each aggregate's events, in the order in which each was seen first."""
    seen: dict[str, list[int]] = {}
    while sum(map(len, seen.values())) < wanted:
        headers = (await take(queue)).headers
        numbers = seen.setdefault(str(headers["cloudEvents:subject"]), [])
        if (number := int(str(headers["cloudEvents:sequence"]))) not in numbers:
            numbers.append(number)
    return seen


async def test_three_relays_keep_the_order_while_their_connections_are_closed(
    line: BrokerHarness,
) -> None:
    aggregates, events = [new_id() for _ in range(20)], 40
    database = line.harness.running.database
    async with AsyncExitStack() as stack:
        relays = [line.relay]
        for _ in range(2):
            broker = Broker(address("sample"), "sample")
            stack.push_async_callback(broker.close)
            relays.append(Relay(database, broker, "sample", batch=50, sweep_interval=0.1))
        tasks = [asyncio.create_task(relay.run()) for relay in relays[1:]]
        closed = await stack.enter_async_context(closed_again_and_again("sample", 0.05))
        for number in range(1, events + 1):
            async with line.harness.transaction() as tx:
                for aggregate in aggregates:
                    outbox.add(tx, StockReleased(order_id=aggregate).with_sequence(number))
            for relay in relays:
                relay.wake({outbox.shard_of(str(aggregate)) for aggregate in aggregates})

            def closed_often(number: int = number) -> bool:
                return len(closed) >= number // 2

            await until(closed_often)
        seen = await first_seen(line.published, len(aggregates) * events)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(closed) > len(relays)
    disordered = {name: numbers for name, numbers in seen.items() if numbers != sorted(numbers)}
    assert disordered == {}


async def test_what_was_delivered_often_and_never_handled_is_handled_in_the_end(
    line: BrokerHarness,
) -> None:
    """A lost connection is no fault of the messages that were delivered on it."""
    await line.consumer.drain()
    commands = [order() for _ in range(20)]
    for command in commands:
        await line.send(command)
    for _ in range(LIMIT_OF_RABBITMQ_4 + 5):
        async with line.broker.channel() as channel:
            for _ in commands:
                await until(partial(taken, channel))
    database = line.harness.running.database
    consumer = Consumer(bus, database, line.broker, TIERS)
    running = asyncio.create_task(consumer.run())

    async def all_handled() -> bool:
        jars = {row.id for row in await line.harness.sql("select id from jars")}
        noted = await line.harness.sql("select 1 from handling_starts")
        return jars == {command.order_id for command in commands} and not noted

    await until(all_handled)
    assert consumer.retried == 0
    assert await line.dead.get(fail=False, no_ack=True) is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def taken(channel: aiormq.Channel) -> bool:
    """Whether a message was delivered; it is not acknowledged."""
    delivered = await channel.basic_get("svc.sample")
    return isinstance(delivered.delivery, aiormq.spec.Basic.GetOk)
