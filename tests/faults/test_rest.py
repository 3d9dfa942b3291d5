"""Faults that follow one another for as long as the crowd shops; all is at rest soon after the last."""

import asyncio
import os
import signal
import time
from functools import partial

import psutil
import pytest

from invariants import SERVICES, InvariantChecker
from load import Load
from schedules import PATIENT, family, strikes, suspended
from shopfloor import until
from suite.instance import Instance
from suite.plan import Tier
from test_databases import superuser
from test_outages import replaced

# As long as the crowd shops.
TERMINATING, EVERY = 26.0, 2.0
TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where usename = any($1::text[])"
# Longer than the broker waits for a heartbeat, and than PostgreSQL for a silent session.
FROZEN = 25.0
SESSIONS_OF = "select pid from pg_stat_activity where usename = $1"
BETWEEN_KILLS = 3.0
SERVERS = ("postgres", "rabbitmq")

pytestmark = pytest.mark.full


async def test_the_services_database_sessions_are_terminated_every_two_seconds(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        terminated, until_then = 0, time.monotonic() + TERMINATING
        async with superuser(instance, "postgres") as admin:
            while time.monotonic() < until_then:
                terminated += len(await admin.fetch(TERMINATE, list(SERVICES)))
                await asyncio.sleep(EVERY)
        return terminated

    await strikes(strike, "database sessions terminated every 2 s", crowd, books, seed)


async def test_every_process_freezes_in_turn_and_goes_on(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    """PostgreSQL freezes with all of its sessions."""
    names = sorted(instance.pids)

    async def strike() -> int:
        for name in names:
            with suspended(family(instance, name)):
                await asyncio.sleep(FROZEN)
        return len(names)

    run = f"each process frozen in turn, {FROZEN:.0f} s"
    await strikes(strike, run, crowd, books, seed, lasts=FROZEN * len(names))


async def test_the_database_sessions_of_each_service_freeze_in_turn_and_go_on(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        for name in SERVICES:
            rows = await books.rows("postgres", SESSIONS_OF, name)
            with suspended([psutil.Process(row["pid"]) for row in rows]):
                await asyncio.sleep(FROZEN)
        return len(SERVICES)

    run = f"each service's database sessions frozen in turn, {FROZEN:.0f} s"
    await strikes(strike, run, crowd, books, seed, lasts=FROZEN * len(SERVICES))


async def test_every_process_that_is_no_server_is_killed_in_turn(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    """The time to rest begins when the last is ready again."""
    names = sorted(each.name for each in instance.processes().values() if each.tier > Tier.SERVER)

    async def strike() -> int:
        for name in names:
            await asyncio.sleep(BETWEEN_KILLS)
            await asyncio.to_thread(instance.kill, name)
        await asyncio.to_thread(instance.wait_ready, deadline=PATIENT)
        return len(names)

    run = "each process killed in turn"
    await strikes(strike, run, crowd, books, seed, lasts=BETWEEN_KILLS * len(names))


async def test_all_services_are_killed_at_once(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    """The supervisor starts them; the time to rest begins when the last is ready again."""

    async def strike() -> int:
        await asyncio.gather(*(asyncio.to_thread(instance.kill, name) for name in SERVICES))
        await asyncio.to_thread(instance.wait_ready, deadline=PATIENT)
        return len(SERVICES)

    await strikes(strike, "all services killed at once", crowd, books, seed)


async def test_the_servers_restart_in_good_order_and_then_without_warning(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        for name in SERVERS:
            await asyncio.to_thread(instance.restart, name)
            await asyncio.to_thread(instance.wait_ready, deadline=PATIENT)
        for name, number in zip(SERVERS, (signal.SIGQUIT, signal.SIGKILL), strict=True):
            pid = instance.pids[name]
            os.kill(pid, number)
            await until(partial(replaced, instance, name, pid), PATIENT)
            await asyncio.to_thread(instance.wait_ready, name, deadline=PATIENT)
        return 2 * len(SERVERS)

    await strikes(strike, "PostgreSQL and RabbitMQ restarted, twice each", crowd, books, seed)
