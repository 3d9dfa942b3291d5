"""The provider as a process of its own on a real PostgreSQL, and the shop's end of its webhooks."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from sandbox_provider.testing import ProviderProcess, Receiver


async def _administer(server: URL, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(scope="session")
def sandbox_database() -> Iterator[str]:
    server = make_url(os.environ["TEST_POSTGRES_URL"]).set(drivername="postgresql+asyncpg")
    name = f"sandbox_test_{os.getpid()}"
    asyncio.run(_administer(server, f'CREATE DATABASE "{name}"'))
    yield server.set(database=name).render_as_string(hide_password=False)
    asyncio.run(_administer(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def provider(sandbox_database: str, receiver: Receiver) -> Iterator[ProviderProcess]:
    process = ProviderProcess(
        database_url=sandbox_database,
        webhook_url=receiver.url,
        WEBHOOK_RETRY_SECONDS="[0.1, 0.2]",
        SLOW_SECONDS="0.5",
        HANG_SECONDS="30",
        LATE_WEBHOOK_SECONDS="0.7",
    )
    process.start()
    yield process
    process.close()
