"""The database: one pool, and one transaction per request or message, with the outbox inside it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from chassis import outbox
from chassis.errors import Unavailable

Result = TypeVar("Result")

RETRIED_AT_ONCE = {"40001": "serialization failure", "40P01": "deadlock"}
AWAY = {"57P01", "57P02", "57P03", "08000", "08003", "08006", "08001", "53300"}
MAX_REPEATS = 5


class Database:
    """A service's own database.

    `on_commit` is called with the shards that got messages, right after each commit: the relay
    listens there.
    """

    def __init__(
        self, url: str, *, pool_size: int = 8, application_name: str = "cartwright"
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            # Statements may end up in logs; what they carry is somebody's.
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_use_lifo=True,
            connect_args={
                "timeout": 5,
                "command_timeout": 30,
                "server_settings": {
                    "application_name": application_name,
                    "jit": "off",
                    "idle_in_transaction_session_timeout": "60s",
                    "lock_timeout": "10s",
                },
            },
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)
        self.on_commit: Callable[[set[int]], None] = lambda _shards: None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: what is added to the outbox is written at its end, and sent after it."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            async with session.begin():
                yield session
                shards = await outbox.write(session)
            if shards:
                self.on_commit(shards)

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool without SQLAlchemy around it, for the chassis's own hot paths.

        Whoever uses it owns its transaction wholly: SQLAlchemy begins none on it.
        """
        async with self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection

    async def repeat(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        """Run `work` in a transaction, again at once on a deadlock or serialization failure."""
        for attempt in range(1, MAX_REPEATS + 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DBAPIError as error:
                if sqlstate(error) not in RETRIED_AT_ONCE or attempt == MAX_REPEATS:
                    raise
        raise AssertionError("the last attempt either returned or raised")

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection whose server went away; it is known without asking."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-letter code of an error, where the server gave one."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached just now, as opposed to refusing this statement."""
    if isinstance(error, DBAPIError):
        code = sqlstate(error)
        if code is not None:
            return code in AWAY
        return error.connection_invalidated or isinstance(error, InterfaceError | OperationalError)
    return isinstance(
        error, PoolTimeout | ConnectionError | asyncpg.exceptions.PostgresConnectionError
    )


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction; it commits before the answer is sent, by its function scope."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        yield session


Tx = Annotated[AsyncSession, Depends(transaction, scope="function")]


def as_problem(error: BaseException) -> Unavailable | None:
    """The refusal a client sees when the database is away, or None for another fault."""
    if is_away(error):
        return Unavailable("The database is away; try again soon.", code="database_unavailable")
    if lost_a_race(error):
        return Unavailable("Too many want the same thing at once; try again.", code="contention")
    return None


def lost_a_race(error: BaseException) -> bool:
    """Whether the transaction was undone to break a deadlock, wholly and harmlessly."""
    return isinstance(error, DBAPIError) and sqlstate(error) in RETRIED_AT_ONCE
