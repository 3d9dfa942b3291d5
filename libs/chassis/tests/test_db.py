"""The database's transactions: their effects and their notifications."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest
from sample.service import Jar
from sqlalchemy import bindparam, insert, text
from sqlalchemy.exc import IntegrityError

from chassis.db import Database, after_commit
from chassis.driver import TransactionAborted
from chassis.ids import new_id
from chassis.pool import TypeCachingConnection
from chassis.settings import ServiceSettings
from chassis.testing import Harness

ADD = text("insert into jars (id, coins) values (:id, 1)")
COUNT = text("select count(*) from jars")


async def jars(database: Database) -> int:
    """How many jars others see."""
    return int((await database.execute_once(COUNT)).scalar_one())


@pytest.mark.parametrize("coins", [1, 2])
async def test_what_follows_a_commit_finds_it_done(
    sample: Harness[ServiceSettings], coins: int
) -> None:
    """Also when nothing but plain statements ran: SQLAlchemy never knew of a transaction then."""
    seen: list[asyncio.Task[int]] = []
    async with sample.running.database.transaction() as tx:
        after_commit(tx, lambda: seen.append(asyncio.create_task(jars(sample.running.database))))
        for _ in range(coins):
            await tx.execute(ADD, {"id": new_id()})
        assert seen == []
    assert [await task for task in seen] == [coins]


async def test_nothing_follows_a_rollback(sample: Harness[ServiceSettings]) -> None:
    called: list[str] = []
    with suppress(LookupError):
        async with sample.running.database.transaction() as tx:
            after_commit(tx, lambda: called.append("called"))
            raise LookupError
    assert called == []


async def test_a_connection_returned_inside_a_transaction_is_not_reused(
    sample: Harness[ServiceSettings],
) -> None:
    """asyncpg would make a savepoint of the next transaction, and its commit would be lost."""
    async with sample.running.database.driver() as left_open:
        await left_open.execute("begin")
    async with sample.running.database.transaction() as tx:
        await tx.execute(ADD, {"id": new_id()})
    async with (
        sample.running.database.driver() as first,
        sample.running.database.driver() as second,
    ):
        assert [await each.fetchval("select count(*) from jars") for each in (first, second)] == [
            1,
            1,
        ]
        assert left_open not in (first, second)


async def test_a_cancellation_amid_the_rollback_leaves_no_open_transaction(
    sample: Harness[ServiceSettings],
) -> None:
    database, started = sample.running.database, asyncio.Event()

    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute(ADD, {"id": new_id()})
            started.set()
            await asyncio.Event().wait()

    for moments in range(6):
        started.clear()
        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async with database.transaction() as tx:
            await tx.execute(ADD, {"id": new_id()})
        assert await jars(database) == moments + 1


@pytest.mark.parametrize("way", ["plain", "many", "built", "savepoint"])
async def test_every_way_to_the_server_stands_in_the_transaction(
    sample: Harness[ServiceSettings], way: str
) -> None:
    """On a new connection and on one that knows the statement."""
    database = sample.running.database
    for _ in range(3):
        with suppress(LookupError):
            async with database.transaction() as tx:
                match way:
                    case "plain":
                        await tx.execute(ADD, {"id": new_id()})
                    case "many":
                        await tx.execute(ADD, [{"id": new_id()}, {"id": new_id()}])
                    case "built":
                        await tx.execute(insert(Jar).values(id=new_id(), coins=1).returning(Jar))
                    case _:
                        async with tx.begin_nested():
                            await tx.execute(ADD, {"id": new_id()})
                assert (await tx.execute(COUNT)).scalar_one() == (2 if way == "many" else 1)
                raise LookupError
        assert await jars(database) == 0
        async with database.transaction() as tx:
            await tx.execute(ADD, {"id": new_id()})
        await database.execute_once(text("delete from jars"))


async def test_an_ignored_failure_is_raised_at_the_end(
    sample: Harness[ServiceSettings],
) -> None:
    """PostgreSQL answers such a COMMIT with a rollback and no error."""
    database, mine = sample.running.database, new_id()
    await database.execute_once(ADD, {"id": mine})
    with pytest.raises(TransactionAborted):
        async with database.transaction() as tx:
            with suppress(IntegrityError):
                await tx.execute(ADD, {"id": mine})
    assert await jars(database) == 1


async def test_a_part_that_fails_leaves_the_rest(sample: Harness[ServiceSettings]) -> None:
    database, mine = sample.running.database, new_id()
    async with database.transaction() as tx:
        await tx.execute(ADD, {"id": mine})
        for _ in range(2):
            with suppress(IntegrityError):
                async with tx.begin_nested():
                    await tx.execute(ADD, {"id": mine})
        async with tx.begin_nested():
            await tx.execute(ADD, {"id": new_id()})
    assert await jars(database) == 2


async def test_a_text_that_carries_a_value_of_its_own(sample: Harness[ServiceSettings]) -> None:
    statement = text("select cast(:number as integer)").bindparams(bindparam("number", value=7))
    for _ in range(2):
        async with sample.running.database.transaction() as tx:
            assert (await tx.execute(statement)).scalar_one() == 7


async def test_a_second_connection_uses_the_cached_types_of_the_first(
    sample: Harness[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays are written and read rightly on it, and the server is not queried again."""
    introspected: list[object] = []
    ask = asyncpg.Connection._introspect_types

    async def watched(self: asyncpg.Connection, types: object, limit: float | None) -> object:
        introspected.append(types)
        return await ask(self, types, limit)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", watched)
    monkeypatch.setattr(TypeCachingConnection, "_known", {})
    ids = [new_id(), new_id()]
    database = sample.running.database
    async with database.driver() as first, database.driver() as second:
        for each in (first, second):
            assert await each.fetchval("select $1::uuid[]", ids) == ids
            assert await each.fetchval("select $1::numrange[]", []) == []
    assert len(introspected) == 2
