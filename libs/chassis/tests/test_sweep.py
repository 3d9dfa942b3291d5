"""Sweeps go on while there is work, through faults, until they are cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from chassis.db import Database
from chassis.sweep import Sweep, run
from chassis.testing import Harness

AN_HOUR = 3600.0


@asynccontextmanager
async def sweeping(sweep: Sweep, sample: Harness[Any], interval: float) -> AsyncIterator[None]:
    task = asyncio.create_task(run(sweep, sample.running.database, interval))
    try:
        async with asyncio.timeout(5):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_it_runs_on_at_once_while_something_is_left(sample: Harness[Any]) -> None:
    left, empty = [3, 2, 1, 0], asyncio.Event()

    async def work(database: Database) -> int:
        async with database.transaction() as tx:
            assert (await tx.execute(text("select 1"))).scalar_one() == 1
        found = left.pop(0)
        if not left:
            empty.set()
        return found

    async with sweeping(Sweep("once", work), sample, AN_HOUR):
        await empty.wait()


async def test_a_fault_does_not_end_it(sample: Harness[Any]) -> None:
    turns, third = 0, asyncio.Event()

    async def work(_database: Database) -> None:
        nonlocal turns
        turns += 1
        if turns < 3:
            raise ConnectionError("away")
        third.set()

    async with sweeping(Sweep("stubborn", work), sample, 0.01):
        await third.wait()


async def test_its_own_interval_goes_before_the_services(sample: Harness[Any]) -> None:
    turns: asyncio.Queue[None] = asyncio.Queue()

    async def work(_database: Database) -> int:
        turns.put_nowait(None)
        return 0

    async with sweeping(Sweep("quick", work, every=0.01), sample, AN_HOUR):
        for _ in range(3):
            await turns.get()
