"""Sweeps go on while there is work, through faults, until they are cancelled."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from chassis.db import Database
from chassis.sweep import LONGEST_PAUSE, Batch, Sweep, run
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage

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


async def failures(sample: Harness[Any], sweep: str) -> float:
    page = MetricsPage.of(await sample.client.get("/metrics"))
    return page("cartwright_sweep_failures_total", sweep=sweep)


async def test_a_faulty_item_fails_alone_and_is_postponed_and_counted(
    sample: Harness[Any],
) -> None:
    batch, done = Batch[str]("chores"), list[str]()

    async def work(items: Sequence[str]) -> int:
        if "broken" in items:
            raise ValueError("broken")
        done.extend(items)
        return len(items)

    before = await failures(sample, "chores")
    assert await batch.run(["one", "broken", "two"], work) == 2
    assert (done, batch.postponed()) == (["one", "two"], ["broken"])
    assert await batch.run(["three", "four"], work) == 2
    assert await failures(sample, "chores") - before == 1


def test_the_pause_of_an_item_grows_with_each_failure_and_ends_with_a_success() -> None:
    batch, pauses = Batch[str]("chores"), list[float]()
    for _ in range(9):
        with batch.isolate("broken"):
            raise ValueError
        pauses.append(batch._failures["broken"].pause)
    assert pauses[:3] == [5, 10, 20]
    assert pauses[-1] == LONGEST_PAUSE
    with batch.isolate("broken"):
        pass
    assert batch.postponed() == []


async def test_an_unavailable_database_is_no_fault_of_an_item() -> None:
    batch = Batch[str]("chores")

    async def work(_items: Sequence[str]) -> int:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await batch.run(["one", "two"], work)
    assert batch.postponed() == []
