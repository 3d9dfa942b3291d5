"""The database's transactions: their effects and their notifications."""

import asyncio
from contextlib import suppress

import pytest
from asyncpg import UniqueViolationError
from sample.service import Jar
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from chassis import driver
from chassis.db import Database, TransactionAborted, after_commit
from chassis.driver import Sql
from chassis.ids import new_id
from chassis.settings import ServiceSettings
from testkit.harness import Harness

ADD = Sql("insert into jars (id, coins) values (:id, 1)")
COUNT = Sql("select count(*) from jars")


async def jars(database: Database) -> int:
    """How many jars others see."""
    return int(await database.fetchval(COUNT))


@pytest.mark.parametrize("coins", [1, 2])
async def test_what_follows_a_commit_finds_it_done(
    sample: Harness[ServiceSettings], coins: int
) -> None:
    """Also when all statements ran on asyncpg: SQLAlchemy never knew of a transaction then."""
    seen: list[asyncio.Task[int]] = []
    async with sample.running.database.transaction() as tx:
        after_commit(tx, lambda: seen.append(asyncio.create_task(jars(sample.running.database))))
        for _ in range(coins):
            await driver.execute(tx, ADD, {"id": new_id()})
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
        await driver.execute(tx, ADD, {"id": new_id()})
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
            await driver.execute(tx, ADD, {"id": new_id()})
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
            await driver.execute(tx, ADD, {"id": new_id()})
        assert await jars(database) == moments + 1


@pytest.mark.parametrize("way", ["asyncpg", "many", "sqlalchemy", "mapped", "savepoint"])
async def test_every_way_to_the_server_stands_in_the_transaction(
    sample: Harness[ServiceSettings], way: str
) -> None:
    """On a new connection and on one that knows the statement."""
    database = sample.running.database
    for _ in range(3):
        with suppress(LookupError):
            async with database.transaction() as tx:
                match way:
                    case "asyncpg":
                        await driver.execute(tx, ADD, {"id": new_id()})
                    case "many":
                        await driver.executemany(tx, ADD, [{"id": new_id()}, {"id": new_id()}])
                    case "sqlalchemy":
                        await tx.execute(insert(Jar).values(id=new_id(), coins=1).returning(Jar))
                    case "mapped":
                        tx.add(Jar(id=new_id(), coins=1))
                        await tx.flush()
                    case _:
                        async with driver.savepoint(tx):
                            await driver.execute(tx, ADD, {"id": new_id()})
                for count in (await driver.fetchval(tx, COUNT), await tx.scalar(text(COUNT.text))):
                    assert count == (2 if way == "many" else 1)
                raise LookupError
        assert await jars(database) == 0
        async with database.transaction() as tx:
            await driver.execute(tx, ADD, {"id": new_id()})
        await database.execute(Sql("delete from jars"))


async def test_an_ignored_failure_is_raised_at_the_end(
    sample: Harness[ServiceSettings],
) -> None:
    """PostgreSQL answers such a COMMIT with a rollback and no error."""
    database, mine = sample.running.database, new_id()
    await database.execute(ADD, {"id": mine})
    with pytest.raises(TransactionAborted):
        async with database.transaction() as tx:
            with suppress(UniqueViolationError):
                await driver.execute(tx, ADD, {"id": mine})
    assert await jars(database) == 1


async def test_a_part_that_fails_leaves_the_rest(sample: Harness[ServiceSettings]) -> None:
    database, mine = sample.running.database, new_id()
    async with database.transaction() as tx:
        await driver.execute(tx, ADD, {"id": mine})
        for _ in range(2):
            with suppress(UniqueViolationError):
                async with driver.savepoint(tx):
                    await driver.execute(tx, ADD, {"id": mine})
        async with driver.savepoint(tx):
            await driver.execute(tx, ADD, {"id": new_id()})
    assert await jars(database) == 2


async def test_a_rollback_restores_what_both_engines_wrote(
    sample: Harness[ServiceSettings],
) -> None:
    database, mine = sample.running.database, new_id()
    with suppress(IntegrityError):
        async with database.transaction() as tx:
            await driver.execute(tx, ADD, {"id": mine})
            tx.add(Jar(id=mine, coins=1))
            await tx.flush()
    assert await jars(database) == 0


async def test_columns_are_attributes_and_json_is_decoded(sample: Harness[ServiceSettings]) -> None:
    statement = Sql("select cast(:json as jsonb) as facts, '12:30'::text as time, :json as again")
    assert statement.names == ["json"]
    row = await sample.running.database.fetchrow(statement, {"json": '{"coins": [1, 2]}'})
    assert row.facts == {"coins": [1, 2]}
    assert (row.time, row.again) == ("12:30", row.facts)
    with pytest.raises(AttributeError, match="lid"):
        _ = row.lid


async def test_a_value_that_is_missing_is_named(sample: Harness[ServiceSettings]) -> None:
    with pytest.raises(KeyError, match="id"):
        await sample.running.database.execute(ADD, {"ids": []})
