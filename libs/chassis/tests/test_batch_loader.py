"""Batched reads: which calls share a read, and who receives its error."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text

from chassis.batch_loader import BatchLoader
from chassis.driver import Sql
from chassis.ids import new_id
from chassis.settings import ServiceSettings
from testkit.harness import Harness

JARS = Sql("select id, coins from jars where id = any(cast(:keys as uuid[]))")


class Shelf:
    """A source that answers when released, and records the requested keys."""

    def __init__(self) -> None:
        self.requested: list[list[int]] = []
        self.doors: list[asyncio.Event] = []
        self.faults: list[int] = []
        self.begun = asyncio.Condition()

    async def read(self, keys: Sequence[int]) -> dict[int, str]:
        """Odd keys are there."""
        door = asyncio.Event()
        async with self.begun:
            self.requested.append(sorted(keys))
            self.doors.append(door)
            self.begun.notify_all()
        await door.wait()
        if len(self.requested) in self.faults:
            raise ConnectionError("away")
        return {key: f"thing {key}" for key in keys if key % 2}

    async def reads(self, number: int) -> None:
        """Wait until so many readings have begun."""
        async with self.begun:
            await self.begun.wait_for(lambda: len(self.requested) >= number)


async def test_keys_requested_during_a_read_share_the_next_one() -> None:
    shelf = Shelf()
    together = BatchLoader(shelf.read)
    first = asyncio.create_task(together.get(1))
    await shelf.reads(1)
    later = [asyncio.create_task(together.get(key)) for key in (1, 2, 3, 3)]
    await asyncio.sleep(0)
    shelf.doors[0].set()
    await shelf.reads(2)
    shelf.doors[1].set()

    assert await first == "thing 1"
    assert await asyncio.gather(*later) == ["thing 1", None, "thing 3", "thing 3"]
    assert shelf.requested == [[1], [1, 2, 3]]


async def test_an_error_reaches_its_callers_and_the_next_read_is_made() -> None:
    shelf = Shelf()
    shelf.faults = [1]
    together = BatchLoader(shelf.read)
    for outcome in (ConnectionError, None):
        tasks = [asyncio.create_task(together.get(key)) for key in (1, 3)]
        await shelf.reads(len(shelf.doors) + 1)
        shelf.doors[-1].set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        if outcome is None:
            assert found == ["thing 1", "thing 3"]
        else:
            assert [type(each) for each in found] == [outcome, outcome]


async def test_a_cancelled_caller_does_not_cancel_the_others() -> None:
    shelf = Shelf()
    together = BatchLoader(shelf.read)
    leaving, staying = (asyncio.create_task(together.get(key)) for key in (1, 3))
    await shelf.reads(1)
    leaving.cancel()
    shelf.doors[0].set()

    assert await staying == "thing 3"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_rows_are_found_by_their_keys(sample: Harness[ServiceSettings]) -> None:
    database, ids = sample.running.database, [new_id() for _ in range(3)]

    async def coins(key: UUID) -> int | None:
        row = await database.load_one(JARS, key)
        return row.coins if row is not None else None

    async with database.transaction() as tx:
        for coin, jar in enumerate(ids):
            await tx.execute(
                text("insert into jars (id, coins) values (:id, :coins)"),
                {"id": jar, "coins": coin},
            )

    assert await asyncio.gather(*map(coins, [*ids, new_id(), ids[0]])) == [0, 1, 2, None, 0]
    assert database.pool.in_use == 0
