"""The database: one pool, and one transaction per request or message, with the outbox inside it.

The chassis begins and ends the transaction on asyncpg's connection; SQLAlchemy uses the connection
in autocommit mode, so that its statements and those of `chassis.driver` share one transaction.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, TypeVar

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import ExceptionContext, Executable, Result, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.pool import NullPool

from chassis import driver, outbox, session_limits
from chassis.batch_loader import BatchLoader
from chassis.driver import NO_VALUES, Record, Sql, Values, reachable
from chassis.driver_errors import DATABASE_ERRORS, ErrorKind, classify, ends_session
from chassis.ops import operations
from chassis.pool import LimitedConnection, Pool, PooledConnection
from contracts.message import Message

Outcome = TypeVar("Outcome")

MAX_ATTEMPTS = 5
MAX_PREPARED = 300
SESSION_SETTINGS = {
    "jit": "off",
    # Statements look up rows by key, so a custom plan is never better than the generic one; for
    # `any(array)` PostgreSQL would otherwise plan every execution.
    "plan_cache_mode": "force_generic_plan",
    **session_limits.SERVICE_SESSIONS,
}
AFTER_COMMIT = "after_commit"


class TransactionAborted(Exception):
    """A statement of the transaction had failed and its error was ignored."""


def after_commit(tx: AsyncSession, call: Callable[[], None]) -> None:
    """Call a function after this transaction commits, and only then.

    For notifications that shorten a wait: the call must not fail, and a crash right after the
    commit loses it. SQLAlchemy's event of this name does not fire, since the chassis commits.
    """
    tx.info.setdefault(AFTER_COMMIT, []).append(call)


class Database:
    """A service's own database.

    After each commit with messages, `on_commit` is called with their outbox shards, which wakes the
    relay, and each of `listeners` with each message, so that this process learns of it before the
    broker delivers it.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        application_name: str = "cartwright",
        command_timeout: float = 30,
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            # Statements may be logged, and their parameters may be personal data.
            hide_parameters=True,
            # `Pool` below holds the connections.
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connection_class": LimitedConnection,
                "record_class": Record,
                "statement_cache_size": MAX_PREPARED,
                "max_cached_statement_lifetime": 0,
                "timeout": 5,
                "command_timeout": command_timeout,
                "server_settings": SESSION_SETTINGS | {"application_name": application_name},
            },
        )
        event.listen(self.engine.sync_engine, "handle_error", _translate_lost_connection)
        self.pool = Pool(self.engine, pool_size, timeout=10)
        self.on_commit: Callable[[set[int]], None] = lambda _shards: None
        self.listeners: list[Callable[[Message], None]] = []
        self._loaders: dict[str, BatchLoader[Hashable, Any]] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction; it writes the outbox at its end, and the commit wakes the relay."""
        async with self.pool.acquire() as taken:
            info = {driver.CONNECTION: taken.asyncpg}
            tx = AsyncSession(taken.sqlalchemy, expire_on_commit=False, info=info)
            with invalidate_on_error(taken):
                await reachable(taken.asyncpg.execute("begin"))
            try:
                yield tx
                published = await outbox.write(tx)
                operation = await operations.record(tx, published)
                if tx.in_transaction() or tx.new:
                    await tx.commit()
                    await tx.close()
                await _commit(taken.asyncpg)
            except BaseException as error:
                await _roll_back(tx, taken, error)
                raise
        if operation is not None:
            operation.is_recorded = True
        if published:
            self.on_commit({outbox.shard_of(message.subject()) for message in published})
            for listener in self.listeners:
                for message in published:
                    listener(message)
        for call in tx.info.get(AFTER_COMMIT, ()):
            call()

    async def execute_once(self, statement: Executable, values: Any = None) -> Result[Any]:
        """Run one statement on SQLAlchemy, in a transaction of its own."""
        async with self.pool.acquire() as taken:
            with invalidate_on_error(taken):
                async with taken.sqlalchemy.begin():
                    return await taken.sqlalchemy.execute(statement, values)

    async def fetch(self, statement: Sql, values: Values = NO_VALUES) -> list[Any]:
        """Run one statement on asyncpg, in a transaction of its own; returns its `Record`s."""
        async with self.driver() as connection:
            return await reachable(connection.fetch(statement.text, *statement.arguments(values)))

    async def fetchrow(self, statement: Sql, values: Values = NO_VALUES) -> Any:
        """The same; returns the first row, or None."""
        return next(iter(await self.fetch(statement, values)), None)

    async def fetchval(self, statement: Sql, values: Values = NO_VALUES) -> Any:
        """The same; returns the first value of the first row, or None."""
        row = await self.fetchrow(statement, values)
        return None if row is None else row[0]

    async def execute(self, statement: Sql, values: Values = NO_VALUES) -> None:
        """The same, for a statement without a result."""
        await self.fetch(statement, values)

    async def load_one(self, statement: Sql, key: Hashable) -> Any:
        """The `Record` of `key`, by a statement that selects the rows of all `:keys`, key first.

        Concurrent calls share one statement.
        """

        async def read(keys: Sequence[Hashable]) -> dict[Hashable, Any]:
            return {row[0]: row for row in await self.fetch(statement, {"keys": keys})}

        loader = self._loaders.get(statement.text)
        if loader is None:
            loader = self._loaders[statement.text] = BatchLoader(read)
        return await loader.get(key)

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A raw connection of the pool, for the chassis's own hot paths.

        The caller begins and ends its transactions; SQLAlchemy begins none on it.
        """
        async with self.pool.acquire() as taken:
            with invalidate_on_error(taken):
                yield taken.asyncpg

    async def retry(self, work: Callable[[AsyncSession], Awaitable[Outcome]]) -> Outcome:
        """Run `work` in a transaction, and retry at once on a conflict with a concurrent one."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DATABASE_ERRORS as error:
                if classify(error) is not ErrorKind.CONFLICT or attempt == MAX_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt either returned or raised")

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.pool.close()
        await self.engine.dispose()


@contextmanager
def invalidate_on_error(taken: PooledConnection) -> Iterator[None]:
    """Invalidate the connection when an operation was cut off.

    The driver may not have noticed yet that the server will never respond.
    """
    try:
        yield
    except BaseException as error:
        if ends_session(error):
            taken.invalidate()
        raise


async def _commit(connection: asyncpg.Connection) -> None:
    # PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK and no error.
    if await reachable(connection.execute("commit")) != "COMMIT":
        raise TransactionAborted


async def _roll_back(tx: AsyncSession, taken: PooledConnection, reason: BaseException) -> None:
    """Roll back, or invalidate the connection when that fails."""
    try:
        if not taken.is_closed:
            await taken.asyncpg.execute("rollback")
        await tx.close()
        if isinstance(reason, DATABASE_ERRORS) and ends_session(reason):
            taken.invalidate()
    except BaseException as error:
        taken.invalidate()
        if not isinstance(error, Exception):
            raise


def _translate_lost_connection(context: ExceptionContext) -> None:
    """Raise asyncpg's timeouts and socket errors as `reachable` does; SQLAlchemy wraps neither."""
    error = context.original_exception
    if context.statement is not None and isinstance(error, OSError):
        raise ConnectionError(f"the database does not respond: {error!r}") from error


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction; its function scope commits before the response is sent."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        yield session


Tx = Annotated[AsyncSession, Depends(transaction, scope="function")]
