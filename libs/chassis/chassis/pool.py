"""The open connections of one database, kept at hand between transactions.

SQLAlchemy's own pool changes into a greenlet to give a connection out and again to take it back,
twice for each transaction and each look of the relay. Here both are a list's `pop` and `append`.
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
# asyncpg prepares its statement anew when an unnamed one was used in between; none was.
NAMED = SimpleNamespace(name="remembered")


class TypeCachingConnection(asyncpg.Connection):  # type: ignore[misc]
    """Watches for a lost server, and asks once in a process what a built-in type is made of.

    asyncpg asks the server at each connection's first `uuid[]`, first `text[]` and so on, with a
    recursive query that costs more than a whole checkout's statements (5 to 10 ms). What
    PostgreSQL itself brings has the same numbers everywhere on a server.
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
    """An open connection, as SQLAlchemy sees it and as the driver does."""

    connection: Connection
    shared: AsyncConnection
    driver: Driver

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more; known without asking the server."""
        return bool(self.driver.connection.is_closed())

    def invalidate(self) -> None:
        """End a connection whose state is not known; the pool will not keep it."""
        self.driver.connection.terminate()

    async def discard(self) -> None:
        """Let SQLAlchemy forget a connection that is closed."""
        await greenlet_spawn(self.connection.invalidate)
        await greenlet_spawn(self.connection.close)


class Pool:
    """At most `size` connections; the one given back last is given out first."""

    def __init__(self, engine: AsyncEngine, size: int, timeout: float) -> None:
        self._engine = engine
        self.size = size
        self._timeout = timeout
        self._idle: list[PooledConnection] = []
        self._free = asyncio.Semaphore(size)
        self.in_use = 0

    @asynccontextmanager
    async def take(self) -> AsyncIterator[PooledConnection]:
        """A connection to oneself. Raises SQLAlchemy's TimeoutError when none comes free in time.

        One that is given back amid a transaction is thrown away: the next one's BEGIN and COMMIT
        would silently become a savepoint within it.

        Raises ConnectionError when the server cannot be reached or says nothing.
        """
        if self._free.locked():
            try:
                async with asyncio.timeout(self._timeout):
                    await self._free.acquire()
            except TimeoutError:
                raise PoolTimeout(f"no connection came free in {self._timeout} s") from None
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
            # A silent server and an unknown host name are as good as a refused connection.
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
        """Close the connections that nobody uses."""
        while self._idle:
            await greenlet_spawn(self._idle.pop().connection.close)
