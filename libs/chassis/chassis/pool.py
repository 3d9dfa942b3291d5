"""The connection pool of one database.

SQLAlchemy's pool switches into a greenlet to check a connection out, and again to return it. Here
both are a list's `pop` and `append`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util.concurrency import greenlet_spawn

from chassis import clock, session_limits
from chassis.driver import Driver

FIRST_TYPE_OF_A_DATABASE = 16_384
# asyncpg prepares its statement again after an unnamed one was used; with a name it does not.
NAMED = SimpleNamespace(name="remembered")


class TypeCachingConnection(asyncpg.Connection):  # type: ignore[misc]
    """Caches the introspection of built-in types for the process, and limits the server's silence.

    asyncpg introspects `uuid[]`, `text[]` and so on once for each connection, with a recursive
    query that costs more than all statements of a checkout (5 to 10 ms). The OIDs of PostgreSQL's
    built-in types are the same in every database.
    """

    __slots__ = ()

    _known: ClassVar[dict[frozenset[int], Any]] = {}

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        session_limits.apply_to(transport)

    async def _introspect_types(self, typeoids: Iterable[int], limit: float | None) -> Any:
        wanted = frozenset(typeoids)
        if max(wanted) >= FIRST_TYPE_OF_A_DATABASE:
            return await super()._introspect_types(wanted, limit)
        if wanted not in self._known:
            self._known[wanted], _ = await super()._introspect_types(wanted, limit)
        return self._known[wanted], NAMED


@dataclass(frozen=True, slots=True)
class PooledConnection:
    """An open connection, with SQLAlchemy's view of it and the driver."""

    connection: Connection
    shared: AsyncConnection
    driver: Driver

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, as far as the client knows."""
        return bool(self.driver.connection.is_closed())

    def invalidate(self) -> None:
        """Terminate a connection whose state is unknown; the pool then discards it."""
        self.driver.connection.terminate()

    async def discard(self) -> None:
        """Release SQLAlchemy's view of a closed connection."""
        await greenlet_spawn(self.connection.invalidate)
        await greenlet_spawn(self.connection.close)


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
                if not taken.is_closed and taken.driver.connection.is_in_transaction():
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
            connection = await greenlet_spawn(self._engine.sync_engine.connect)
        except OSError as error:
            # A silent server and an unknown host name count as a refused connection.
            raise ConnectionError(f"the database cannot be reached: {error!r}") from error
        opened = PooledConnection(
            connection,
            AsyncConnection(self._engine, connection),
            Driver(connection.connection.driver_connection),
        )
        try:
            await clock.measure(opened.driver.connection)
        except BaseException:
            opened.invalidate()
            await opened.discard()
            raise
        return opened

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await greenlet_spawn(self._idle.pop().connection.close)
