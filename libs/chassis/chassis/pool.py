"""The connection pool of one database.

SQLAlchemy's pool switches into a greenlet to check a connection out, and again to return it. Here
both are a list's `pop` and `append`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis import clock, session_limits


class LimitedConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that notices a silent server by its socket."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        session_limits.apply_to(transport)


@dataclass(frozen=True, slots=True)
class PooledConnection:
    """An open connection, as asyncpg's and as SQLAlchemy's."""

    asyncpg: asyncpg.Connection
    sqlalchemy: AsyncConnection

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, as far as the client knows."""
        return bool(self.asyncpg.is_closed())

    def invalidate(self) -> None:
        """Terminate a connection whose state is unknown; the pool then discards it."""
        self.asyncpg.terminate()

    async def discard(self) -> None:
        """Release SQLAlchemy's view of a closed connection."""
        await self.sqlalchemy.invalidate()
        await self.sqlalchemy.close()


class Pool:
    """At most `size` connections, reused last in, first out."""

    def __init__(self, engine: AsyncEngine, size: int, timeout: float) -> None:
        self._engine = engine
        self.size = size
        self._timeout = timeout
        self._idle: list[PooledConnection] = []
        self._free = asyncio.Semaphore(size)
        self.in_use = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PooledConnection]:
        """Check a connection out for a block.

        A connection that is returned inside a transaction is discarded: the next user's BEGIN and
        COMMIT would apply to that transaction. Raises SQLAlchemy's TimeoutError when none is
        returned in time, and ConnectionError when the server cannot be reached or does not respond.
        """
        if self._free.locked():
            try:
                async with asyncio.timeout(self._timeout):
                    await self._free.acquire()
            except TimeoutError:
                raise PoolTimeout(f"no connection was returned in {self._timeout} s") from None
        else:
            await self._free.acquire()
        self.in_use += 1
        try:
            taken = await self._usable()
            try:
                yield taken
            finally:
                if not taken.is_closed and taken.asyncpg.is_in_transaction():
                    taken.invalidate()
                if taken.is_closed:
                    await taken.discard()
                else:
                    self._idle.append(taken)
        finally:
            self.in_use -= 1
            self._free.release()

    async def _usable(self) -> PooledConnection:
        while self._idle:
            taken = self._idle.pop()
            if not taken.is_closed:
                return taken
            await taken.discard()
        try:
            shared = await self._engine.connect()
        except OSError as error:
            # A silent server and an unknown host name count as a refused connection.
            raise ConnectionError(f"the database cannot be reached: {error!r}") from error
        raw: Any = (await shared.get_raw_connection()).driver_connection
        opened = PooledConnection(raw, shared)
        try:
            await clock.measure(raw)
        except BaseException:
            opened.invalidate()
            await opened.discard()
            raise
        return opened

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().sqlalchemy.close()
