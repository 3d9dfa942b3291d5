"""The database, its one way to open a transaction, and the making of the tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from chassis import session_limits
from chassis.db import Database
from sandbox_provider.tables import metadata

_MAKING_TABLES = 0x5A4D_B0C5


def connect(url: str) -> Database:
    """The database at `url`; parameters stay out of errors, so that no log can hold a request."""
    return Database(url, pool_size=20, application_name="sandbox")


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[AsyncSession]:
    """Commit what the block did, or nothing of it."""
    async with database.transaction() as connection:
        yield connection


async def make_tables(url: str) -> None:
    """Create the tables that are missing; processes that start together wait for each other."""
    limits = {"server_settings": session_limits.ALL_SESSIONS}
    engine = create_async_engine(url, connect_args=limits)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MAKING_TABLES}
            )
            await connection.run_sync(metadata.create_all)
    finally:
        await engine.dispose()
