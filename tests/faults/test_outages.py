"""Servers killed, stopped and cut off in the midst of a crowd's checkouts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import pytest_asyncio

from invariants import SERVICES, InvariantChecker
from load import LONG_STAGES, Load
from schedules import PATIENT, strikes
from shopfloor import until
from suite.instance import Instance
from wire import Wire, wires

WIRED = ("orders", "payments", "inventory")
# Longer than two heartbeats of the broker, so that both ends give the connection up.
SILENCE = 25.0
BRIEFLY = 5.0
SLOWNESS = 0.2
# What the broker runs out of, a limit that raises the alarm, and one that does not.
ALARMS = (
    ("memory", ("set_vm_memory_high_watermark", "absolute", "1MB"), ("absolute", "1GiB")),
    ("disk", ("set_disk_free_limit", "1000000GB"), ("200MB",)),
)
ALARMED = 8.0

pytestmark = pytest.mark.full


@pytest.mark.parametrize("seconds", [2, 10, 60])
async def test_the_broker_is_killed_and_away_for_a_while(
    seconds: int, instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        await asyncio.to_thread(instance.kill, "rabbitmq", keep_down=True)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(instance.start_process, "rabbitmq", deadline=PATIENT)
        return 1

    await strikes(strike, f"broker killed, {seconds} s away", crowd, books, seed)


async def test_the_databases_stop_without_warning_twice(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    """PostgreSQL's immediate shutdown: every connection ends, and the log is replayed at start."""

    async def strike() -> int:
        for _ in range(2):
            pid = instance.pids["postgres"]
            os.kill(pid, signal.SIGQUIT)
            await until(partial(replaced, instance, "postgres", pid))
            await asyncio.to_thread(instance.wait_ready, deadline=PATIENT)
        return 2

    await strikes(strike, "PostgreSQL stopped at once, twice", crowd, books, seed)


async def replaced(instance: Instance, name: str, pid: int) -> bool:
    """Whether another process runs in its place."""
    return instance.pids.get(name, pid) != pid


async def test_two_workers_then_all_services_are_killed_at_once(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        await asyncio.gather(*(asyncio.to_thread(instance.kill, n) for n in WIRED[:2]))
        await asyncio.to_thread(instance.wait_ready, deadline=PATIENT)
        await asyncio.to_thread(instance.kill, *SERVICES, keep_down=True)
        await asyncio.to_thread(instance.start_process, *SERVICES, deadline=PATIENT)
        return 2 + len(SERVICES)

    await strikes(strike, "two workers, then all services killed", crowd, books, seed)


@contextmanager
def wired(instance: Instance) -> Iterator[tuple[list[Wire], list[Wire]]]:
    """Lead the broker and database connections of three services through wires of their own."""
    ports = instance.environment.ports
    there = [ports["rabbitmq"]] * len(WIRED) + [ports["postgres"]] * len(WIRED)
    with wires(*there) as made:
        to_broker, to_database = made[: len(WIRED)], made[len(WIRED) :]
        changes = {
            name: {
                "BROKER_URL": instance.broker_url(name).replace(
                    f":{ports['rabbitmq']}/", f":{broker.port}/"
                ),
                "DATABASE_URL": instance.environment.database_url(name, name).replace(
                    f":{ports['postgres']}/", f":{database.port}/"
                ),
            }
            for name, broker, database in zip(WIRED, to_broker, to_database, strict=True)
        }
        changes["orders"] |= LONG_STAGES["orders"]
        Instance(instance.folder, "test", overrides={**instance.overrides, **changes}).start()
        try:
            yield to_broker, to_database
        finally:
            for wire in made:
                wire.heal()
            instance.start()


@pytest_asyncio.fixture
async def lines(
    instance: Instance, long_stages: None
) -> AsyncIterator[tuple[list[Wire], list[Wire]]]:
    """Wires to the broker and to the databases, while everything runs through them."""
    context = wired(instance)
    yield await asyncio.to_thread(context.__enter__)
    await asyncio.to_thread(context.__exit__, None, None, None)


def harm(wire: Wire, fault: str) -> None:
    """Apply the fault of that name to one connection."""
    match fault:
        case "slow":
            wire.delay = SLOWNESS
        case "one way":
            wire.one_way()
        case "black hole":
            wire.black_hole()
        case "cut":
            wire.cut()


@pytest.mark.parametrize("fault", ["slow", "one way", "black hole", "cut"])
async def test_the_network_fails_towards_the_broker_and_then_towards_the_databases(
    fault: str, lines: tuple[list[Wire], list[Wire]], instance: Instance, crowd: Load,
    books: InvariantChecker, seed: int,
) -> None:  # fmt: skip
    async def strike() -> int:
        for side, seconds in zip(lines, (SILENCE, BRIEFLY), strict=True):
            for wire in side:
                await asyncio.to_thread(harm, wire, fault)
            await asyncio.sleep(seconds)
            for wire in side:
                await asyncio.to_thread(wire.heal)
        return 2 * len(WIRED)

    await strikes(strike, f"network: {fault}", crowd, books, seed)


async def test_the_broker_runs_out_of_memory_and_then_of_disk(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    """Its alarms block every publisher; what is committed waits in the outbox."""
    broker = instance.environment.broker

    async def strike() -> int:
        for resource, (setting, *alarm), back in ALARMS:
            await asyncio.to_thread(broker.control, setting, *alarm)
            try:
                await until(partial(is_alarmed, instance, resource))
                await asyncio.sleep(ALARMED)
            finally:
                await asyncio.to_thread(broker.control, setting, *back)
        return len(ALARMS)

    await strikes(strike, "broker alarms: memory, disk", crowd, books, seed)


async def is_alarmed(instance: Instance, resource: str) -> bool:
    """Whether the broker holds its publishers back for want of `memory` or `disk`."""
    command = ("eval", "rabbit_alarm:get_alarms().")
    alarms = await asyncio.to_thread(instance.environment.broker.control, *command)
    return f"resource_limit,{resource}" in alarms
