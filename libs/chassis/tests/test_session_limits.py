"""Locks of processes that are lost or frozen: PostgreSQL lets them go, and the process recovers."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from broker_harness import BrokerHarness, address, order, take, until
from sqlalchemy import text

from chassis import migrations, outbox, session_limits
from chassis.messaging.relay import LOCK_SPACE
from chassis.settings import ServiceSettings
from contracts.inventory import StockReserved
from testkit.harness import Harness

PROGRAM = Path(__file__).with_name("frozen.py")


@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process; ended after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def is_frozen(process: asyncio.subprocess.Process) -> bool:
    """Whether it is stopped by a signal; fails when it ended instead."""
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state not in "ZX", "the process has ended"
    return state == "T"


async def passes(output: asyncio.StreamReader) -> AsyncIterator[str]:
    """How a relay's passes end, up to the first that succeeds."""
    async for line in output:
        printed = line.decode().strip()
        if printed.startswith(("failed", "passed")):
            yield printed
        if printed == "passed":
            return


async def test_a_frozen_relay_loses_its_shards_and_goes_on_when_it_wakes(
    line: BrokerHarness,
) -> None:
    command = order()
    shard = outbox.shard_of(str(command.order_id))
    url = line.harness.running.settings.database_url
    async with child("relay", url, address("sample"), str(shard)) as frozen:
        await until(lambda: is_frozen(frozen))
        ((held,),) = await line.harness.sql(
            "select count(*) from pg_locks where locktype = 'advisory' and classid = :space "
            "and objid = :shard and granted and database = "
            "(select oid from pg_database where datname = current_database())",
            space=LOCK_SPACE,
            shard=shard,
        )
        assert held == 1
        await line.send(command)
        answer = await take(line.published)
        assert StockReserved.decode(answer.body).order_id == command.order_id

        os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.stdout is not None
        async with asyncio.timeout(60):
            printed = [line async for line in passes(frozen.stdout)]
        assert printed[0].startswith("failed")
        assert printed[-1] == "passed"


async def test_a_shard_s_limit_ends_with_the_pass(line: BrokerHarness) -> None:
    """An idle connection of the pool is left alone."""
    await line.send(order())
    await take(line.published)
    assert await line.relay._send_batch({1}) == 0
    async with line.harness.running.database.driver() as connection:
        assert await connection.fetchval("show idle_session_timeout") == "0"


@pytest.mark.parametrize("how", ["freeze", "sleep"])
async def test_a_migration_that_is_frozen_or_lost_does_not_stop_the_next(
    sample: Harness[Any], how: str
) -> None:
    url = sample.running.settings.database_url
    async with child("migration", url, how) as first:
        await until(lambda: holds_migrations(sample))
        if how == "freeze":
            await until(lambda: is_frozen(first))
        else:
            first.kill()
        async with asyncio.timeout(60):
            await migrations.migrate("sample", url, None)


async def holds_migrations(sample: Harness[Any]) -> bool:
    """Whether a session has the lock of this database's migrations."""
    found = await sample.sql(
        "select 1 from pg_locks where locktype = 'advisory' and objid = :lock and granted "
        "and database = (select oid from pg_database where datname = current_database())",
        lock=migrations.LOCK,
    )
    return bool(found)


async def test_a_long_statement_of_a_migration_is_not_ended(
    sample: Harness[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the silence that is allowed, which is made short here."""
    monkeypatch.setitem(session_limits.ALL_SESSIONS, "idle_in_transaction_session_timeout", "500ms")
    upgrade = migrations._upgrade

    def slowly(connection: Any, service: str) -> None:
        upgrade(connection, service)
        assert connection.scalar(text("show idle_in_transaction_session_timeout")) == "500ms"
        connection.execute(text("select pg_sleep(1.5)"))

    monkeypatch.setattr(migrations, "_upgrade", slowly)
    await migrations.migrate("sample", sample.running.settings.database_url, None)


async def test_both_sides_of_a_connection_watch_the_other(
    sample: Harness[ServiceSettings],
) -> None:
    async with sample.running.database.driver() as connection:
        for name, value in session_limits.SERVICE_SESSIONS.items():
            found = await connection.fetchval("select current_setting($1)", name)
            assert found in (value, f"{session_limits.SILENCE}s"), name
        ours = connection._transport.get_extra_info("socket")
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert idle == session_limits.KEEPALIVE_IDLE
        limit = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert limit == session_limits.SILENCE * 1000
