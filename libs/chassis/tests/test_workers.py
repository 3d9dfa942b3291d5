"""Processes that end, freeze or wait for ever amid their messages; on a real broker."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import topology
from broker_harness import TIERS, BrokerHarness, address, order, take, until
from sample.service import DEADLY, ENDLESS, bus

from chassis.db import Database
from chassis.messaging.consumer import Consumer
from chassis.messaging.handling_starts import MAX_CRASHES
from chassis.metrics import STOPPED
from contracts.inventory import ReserveStock
from wire import wires

WORKER = Path(__file__).with_name("worker.py")
FREEZES = 3


@asynccontextmanager
async def worker(line: BrokerHarness) -> AsyncIterator[Process]:
    """A consumer of its own process, in the place of the line's; `stdout` identifies it."""
    await line.consumer.drain()
    url = line.harness.running.settings.database_url
    process = await asyncio.create_subprocess_exec(
        sys.executable, WORKER, url, address("sample"),
        cwd=WORKER.parent, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        # What a failed test left would consume the messages of the next.
        process.terminate()
        await process.wait()


async def processes(worker: Process) -> AsyncIterator[int]:
    """The ids of those that were the worker, one after another."""
    assert worker.stdout is not None
    async for line in worker.stdout:
        if line.startswith(b"process "):
            yield int(line.split()[1])


async def jars(line: BrokerHarness) -> set[UUID]:
    """Of which orders coins are held."""
    return {row.id for row in await line.harness.sql("select id from jars")}


async def all_handled(line: BrokerHarness, commands: list[ReserveStock]) -> None:
    """Wait until coins are held for each of them."""

    async def done() -> bool:
        return await jars(line) >= {command.order_id for command in commands}

    await until(done)


async def state(line: BrokerHarness) -> Any:
    """The broker's statistics of the work queue."""
    async with topology.channel(address()) as channel:
        return (await channel.declare_queue("svc.sample", passive=True)).declaration_result


async def test_a_message_that_ends_its_process_each_time_is_dead_and_the_others_are_handled(
    line: BrokerHarness,
) -> None:
    good = [order() for _ in range(6)]
    async with worker(line) as process:
        for command in (*good[:3], order(DEADLY), *good[3:]):
            await line.send(command)
        letter = await take(line.dead)
        await all_handled(line, good)
    lives = [pid async for pid in processes(process)]

    assert letter.headers["x-error"] == "NeverEnded"
    assert MAX_CRASHES < len(lives) <= MAX_CRASHES + 3
    assert await line.dead.get(fail=False, no_ack=True) is None


async def test_a_frozen_process_leaves_one_consumer_and_nothing_in_flight(
    line: BrokerHarness,
) -> None:
    commands = []
    async with worker(line) as process:
        pid = await anext(processes(process))
        for _ in range(FREEZES):
            await until(lambda: consumers(line, 1))
            os.kill(pid, signal.SIGSTOP)
            commands += [order() for _ in range(5)]
            for command in commands[-5:]:
                await line.send(command)
            await until(lambda: consumers(line, 0))
            os.kill(pid, signal.SIGCONT)
            await all_handled(line, commands)
        await until(lambda: consumers(line, 1))
    await until(lambda: consumers(line, 0))
    # What was in flight is on the queue again.
    assert (await state(line)).message_count == 0
    assert await line.dead.get(fail=False, no_ack=True) is None


async def consumers(line: BrokerHarness, number: int) -> bool:
    """Whether the work queue has so many."""
    return int((await state(line)).consumer_count) == number


@asynccontextmanager
async def another(
    line: BrokerHarness, database: Database, **settings: Any
) -> AsyncIterator[Consumer]:
    """A consumer in the place of the line's."""
    await line.consumer.drain()
    consumer = Consumer(bus, database, line.broker, TIERS, **settings)
    running = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_handler_that_never_returns_is_stopped_and_its_message_dead_in_the_end(
    line: BrokerHarness,
) -> None:
    stopped = STOPPED.labels("SubscriptionEnded")._value.get()
    good = [order() for _ in range(3)]
    database = line.harness.running.database
    async with another(line, database, delivery_timeout=1.0) as consumer:
        await line.send(order(ENDLESS))
        await until(lambda: "in flight" in (consumer.problem() or ""))
        for command in good:
            await line.send(command)
        dead = await take(line.dead)
        await all_handled(line, good)
        await until(lambda: consumer.problem() is None)
        assert await consumers(line, 1)

    assert dead.headers["x-error"] == "NeverEnded"
    assert STOPPED.labels("SubscriptionEnded")._value.get() > stopped
    assert await line.harness.sql("select 1 from handling_starts") == []


async def test_while_the_database_is_unavailable_nothing_is_consumed_and_nothing_counts(
    line: BrokerHarness,
) -> None:
    url = line.harness.running.settings.database_url
    port = line.harness.running.database.engine.url.port
    assert port is not None
    with wires(port) as (wire,):
        database = Database(url.replace(f":{port}/", f":{wire.port}/"))
        commands = [order() for _ in range(10)]
        async with another(line, database) as consumer:
            await until(consumer.is_consuming)
            await asyncio.to_thread(wire.cut)
            for command in commands:
                await line.send(command)
            # Others could handle them now.
            await until(lambda: not consumer.is_consuming())
            assert (await state(line)).consumer_count == 0
            await asyncio.to_thread(wire.heal)
            await all_handled(line, commands)
            assert consumer.retried == 0
        await database.close()
    assert await line.dead.get(fail=False, no_ack=True) is None
