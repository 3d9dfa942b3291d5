"""Databases that are there and cannot serve: read-only, or locked by another session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from invariants import InvariantChecker
from load import Load
from schedules import strikes
from suite.instance import Instance

TROUBLED = 15.0
LOCKED = 30.0
READ_ONLY = ("orders", "inventory", "payments")
END_SESSIONS = (
    "select pg_terminate_backend(pid) from pg_stat_activity "
    "where datname = $1 and pid <> pg_backend_pid()"
)

pytestmark = pytest.mark.full


@asynccontextmanager
async def superuser(instance: Instance, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that may do anything."""
    connection = await asyncpg.connect(instance.dsn(database, "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


async def test_databases_become_read_only_as_after_a_failover(
    instance: Instance,
    crowd: Load,
    books: InvariantChecker,
    seed: int,
) -> None:
    async def strike() -> int:
        async with superuser(instance, "postgres") as admin:
            for name in READ_ONLY:
                await admin.execute(f"alter database {name} set default_transaction_read_only = on")
                await admin.execute(END_SESSIONS, name)
            try:
                await asyncio.sleep(TROUBLED)
            finally:
                for name in READ_ONLY:
                    await admin.execute(
                        f"alter database {name} reset default_transaction_read_only"
                    )
        return len(READ_ONLY)

    await strikes(strike, "databases read-only", crowd, books, seed)


async def test_a_foreign_lock_on_a_table_of_every_checkout(
    instance: Instance,
    crowd: Load,
    books: InvariantChecker,
    seed: int,
) -> None:
    async def strike() -> int:
        async with superuser(instance, "inventory") as other, other.transaction():
            await other.execute("lock table stock_items in access exclusive mode")
            # Queried repeatedly, since an idle transaction is ended.
            for _ in range(int(LOCKED)):
                await asyncio.sleep(1)
                await other.execute("select 1")
        return 1

    await strikes(strike, "a foreign lock on stock_items, 30 s", crowd, books, seed)
