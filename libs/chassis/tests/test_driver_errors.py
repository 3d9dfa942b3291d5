"""What a database that cannot serve means for requests and messages: nothing of it is their fault."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from broker_harness import TIERS, BrokerHarness, order, take, until
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import db, driver
from chassis.driver import Sql
from chassis.driver_errors import DATABASE_ERRORS, ErrorKind, classify, is_outage
from chassis.ids import new_id
from chassis.settings import ServiceSettings
from contracts.inventory import ReserveStock, StockReserved
from testkit.harness import Harness

RAISE = "do $$ begin raise exception 'on purpose' using errcode = '{}'; end $$"
KINDS = {
    ErrorKind.TRANSIENT: (
        "08006", "25006", "25P03", "28P01", "3D000", "53000", "53100", "53200", "53300", "53400",
        "55006", "55P03", "57014", "57P01", "57P03", "57P05", "58030",
    ),
    ErrorKind.CONFLICT: ("40001", "40P01"),
    ErrorKind.FAULT: ("22003", "23505", "23514", "25P02", "42501", "42P01", "P0001", "XX000"),
}  # fmt: skip
CONFINED = ("25P03", "53400", "55006", "55P03", "57014", "57P05")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that wait for a lock no longer than a test wants to."""
    monkeypatch.setitem(db.SESSION_SETTINGS, "lock_timeout", "100ms")


@asynccontextmanager
async def outsider(harness: Harness[Any], begin: str, end: str) -> AsyncIterator[None]:
    """Another session, for the duration of the block."""
    url = harness.running.settings.database_url.replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(begin)
        try:
            yield
        finally:
            await connection.execute(end)
    finally:
        await connection.close()


def read_only(harness: Harness[Any]) -> Any:
    """The database takes no write, as a standby after a failover does."""
    name = harness.running.settings.database_url.rpartition("/")[2]
    return outsider(
        harness,
        f"alter database {name} set default_transaction_read_only = on; "
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()",
        f"set default_transaction_read_only = off; "
        f"alter database {name} reset default_transaction_read_only",
    )


def full(harness: Harness[Any]) -> Any:
    """The disk has no room for another jar."""
    return outsider(
        harness,
        "create function no_room() returns trigger language plpgsql as "
        "$$ begin raise exception 'no space left' using errcode = '53100'; end $$; "
        "create trigger no_room before insert on jars execute function no_room()",
        "drop trigger no_room on jars; drop function no_room()",
    )


def locked(harness: Harness[Any]) -> Any:
    """Another session locks the table of jars."""
    return outsider(harness, "begin; lock table jars in access exclusive mode", "rollback")


TROUBLES = {"read-only": read_only, "full": full, "locked": locked}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_code_means_the_same_on_every_way_to_the_server(
    sample: Harness[ServiceSettings], kind: ErrorKind
) -> None:
    database = sample.running.database
    for code in KINDS[kind]:
        with pytest.raises(asyncpg.PostgresError) as on_asyncpg:
            await database.execute(Sql(RAISE.format(code)))
        with pytest.raises(DBAPIError) as on_sqlalchemy:
            await database.execute_once(text(RAISE.format(code)))
        is_confined = code in CONFINED
        for found in (on_asyncpg, on_sqlalchemy):
            assert classify(found.value) is kind, code
            assert is_outage(found.value) == (kind is ErrorKind.TRANSIENT and not is_confined), code


async def test_a_value_that_does_not_fit_is_a_fault_and_no_outage(
    sample: Harness[ServiceSettings],
) -> None:
    """asyncpg finds it out without a query."""
    statement, database = "select cast(:number as integer)", sample.running.database
    with pytest.raises(asyncpg.DataError) as on_asyncpg:
        await database.fetch(Sql(statement), {"number": 2**40})
    with pytest.raises(DBAPIError) as on_sqlalchemy:
        await database.execute_once(text(statement), {"number": 2**40})
    for found in (on_asyncpg, on_sqlalchemy):
        assert classify(found.value) is ErrorKind.FAULT
        assert not is_outage(found.value)


async def test_a_host_that_cannot_be_found_is_an_outage() -> None:
    database = db.Database("postgresql+asyncpg://user@no-such-host.invalid/nowhere")
    with pytest.raises(ConnectionError) as found:
        await database.fetch(Sql("select 1"))
    assert isinstance(found.value.__cause__, socket.gaierror)
    assert is_outage(found.value)
    await database.close()


@pytest.mark.parametrize("way", ["asyncpg", "sqlalchemy"])
@pytest.mark.parametrize("moments", range(5))
async def test_a_session_that_was_ended_between_two_statements_is_an_outage(
    sample: Harness[ServiceSettings], moments: int, way: str
) -> None:
    """However much of the server's farewell the driver has read by then."""
    database = sample.running.database
    with pytest.raises(DATABASE_ERRORS) as found:
        async with database.transaction() as tx:
            pid = (await tx.execute(text("select pg_backend_pid()"))).scalar_one()
            async with outsider(sample, f"select pg_terminate_backend({pid})", "select 1"):
                for _ in range(moments):
                    await asyncio.sleep(0)
                if way == "asyncpg":
                    await driver.fetch(tx, Sql("select 1"))
                else:
                    await tx.execute(text("select 1"))
    assert is_outage(found.value)


def test_a_driver_amid_another_operation_has_lost_its_session() -> None:
    error = asyncpg.InternalClientError("cannot switch to state 12; another operation (2)")
    assert is_outage(error)
    assert not is_outage(asyncpg.OutdatedSchemaCacheError("the schema changed"))


@pytest.mark.parametrize("way", ["asyncpg", "sqlalchemy"])
async def test_a_server_that_stays_silent_amid_a_statement_is_an_outage(
    sample: Harness[ServiceSettings], way: str
) -> None:
    url = sample.running.settings.database_url
    database = db.Database(url, command_timeout=0.2)
    with pytest.raises(ConnectionError) as found:
        async with database.transaction() as tx:
            if way == "asyncpg":
                await driver.execute(tx, Sql("select pg_sleep(5)"))
            else:
                await tx.execute(text("select pg_sleep(5)"))
    assert is_outage(found.value)
    # The session, whose state is unknown, is not used again.
    assert await database.fetchval(Sql("select 1")) == 1
    await database.close()


@pytest.mark.parametrize("way", ["asyncpg", "sqlalchemy"])
async def test_a_statement_prepared_before_a_migration_is_repeated_at_once(
    sample: Harness[ServiceSettings], way: str
) -> None:
    database = sample.running.database
    await database.execute(Sql("insert into jars (id, coins) values (:id, 1)"), {"id": new_id()})

    async def look(tx: AsyncSession) -> int:
        if way == "asyncpg":
            (row,) = await driver.fetch(tx, Sql("select * from jars"))
            return len(row)
        return len((await tx.execute(text("select * from jars"))).keys())

    before = await database.retry(look)
    await database.execute(Sql("alter table jars add column lid text"))
    assert await database.retry(look) == before + 1


async def post(sample: Harness[Any], user: Any, key: str = "k") -> Any:
    headers = {**sample.signed_in(user_id=user), "Idempotency-Key": key}
    return await sample.client.post("/v1/jars", json={"name": "tea", "coins": 3}, headers=headers)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_request_is_answered_503_and_its_repeat_is_served(
    sample: Harness[Any], trouble: str
) -> None:
    """At once: the key is not leased to the request that failed, and no session stays read-only."""
    user = new_id()
    async with TROUBLES[trouble](sample):
        for _ in range(3):
            refused = await post(sample, user)
            assert refused.status_code == 503, refused.text
            assert refused.headers["Retry-After"]
            assert refused.json()["code"] == (
                "contention" if trouble == "locked" else "database_unavailable"
            )
    assert (await post(sample, user)).status_code == 201
    assert len(await sample.sql("select * from jars")) == 1


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_message_outlasts_the_trouble_without_an_attempt(
    line: BrokerHarness, trouble: str
) -> None:
    """However often it meets it: more often than a message that fails by its own fault may."""
    command = order()
    met = 0

    async def watched(*given: Any) -> None:
        nonlocal met
        met += 1
        await receive(*given)

    receive = line.consumer.bus.receive
    line.consumer.bus.receive = watched  # type: ignore[method-assign, assignment]
    try:
        async with TROUBLES[trouble](line.harness):
            await line.send(command)
            await until(lambda: met > len(TIERS) + 2)
        answer = await take(line.published)
    finally:
        line.consumer.bus.receive = receive  # type: ignore[method-assign]
    assert StockReserved.decode(answer.body).order_id == command.order_id
    assert (await line.dead.declare()).message_count == 0


async def test_a_message_that_always_exceeds_its_statement_limit_becomes_a_dead_letter(
    line: BrokerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = order(), order()
    receive = line.consumer.bus.receive

    async def limited(database: db.Database, deliveries: Any) -> None:
        async with database.transaction() as tx:
            if any(each.message.order_id == slow.order_id for each in deliveries):
                await driver.execute(tx, Sql("set local statement_timeout = '50ms'"))
                await driver.execute(tx, Sql("select pg_sleep(60)"))
        await receive(database, deliveries)

    monkeypatch.setattr(line.consumer.bus, "receive", limited)
    await line.send(slow)
    await line.send(quick)
    dead = await take(line.dead)
    assert ReserveStock.decode(dead.body).order_id == slow.order_id
    assert dead.headers["x-error"] == "QueryCanceledError"
    answer = await take(line.published)
    assert StockReserved.decode(answer.body).order_id == quick.order_id
