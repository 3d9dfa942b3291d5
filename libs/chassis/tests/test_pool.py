"""The pool of connections, and which of its errors mean that the database is unavailable."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chassis.driver_errors import is_outage
from chassis.pool import Pool

TIMEOUT = 0.2


@pytest_asyncio.fixture
async def silent() -> AsyncIterator[AsyncEngine]:
    """A server that accepts connections and never responds, as behind a network partition."""
    over = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql+asyncpg://user@127.0.0.1:{port}/nowhere"
        engine = create_async_engine(url, connect_args={"timeout": TIMEOUT})
        yield engine
        await engine.dispose()
        over.set()


async def test_a_silent_database_is_unavailable(silent: AsyncEngine) -> None:
    pool = Pool(silent, 1, TIMEOUT)
    for _ in range(2):
        with pytest.raises(ConnectionError) as raised:
            async with pool.acquire():
                pass
        assert is_outage(raised.value)
    # The failed caller has returned its slot.
    assert pool.in_use == 0
