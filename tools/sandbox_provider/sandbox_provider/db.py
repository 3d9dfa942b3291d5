"""The connection to PostgreSQL, its one way to open a transaction, and the making of the tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sandbox_provider.tables import metadata

_MAKING_TABLES = 0x5A4D_B0C5


def connect(url: str) -> AsyncEngine:
    """An engine for `url`; parameters stay out of errors, so that no log can hold a request."""
    return create_async_engine(url, pool_size=10, max_overflow=10, hide_parameters=True)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Commit what the block did, or nothing of it."""
    async with engine.begin() as connection:
        yield connection


async def make_tables(engine: AsyncEngine) -> None:
    """Create the tables that are missing; processes that start together wait for each other."""
    async with transaction(engine) as connection:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MAKING_TABLES}
        )
        await connection.run_sync(metadata.create_all)
