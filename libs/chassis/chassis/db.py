"""The database: one pool, and one transaction per request or message, with the outbox inside it.

The chassis begins and ends the transaction on the driver's connection; SQLAlchemy uses it in
autocommit mode, so that ORM and plain statements share one transaction.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, TypeVar

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import ExceptionContext, Executable, Result, Row, TextClause, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.pool import NullPool

from chassis import outbox, session_limits
from chassis.batch_loader import BatchLoader
from chassis.driver import translate_errors
from chassis.driver_errors import ErrorKind, classify, ends_session
from chassis.ops import operations
from chassis.pool import Pool, PooledConnection, TypeCachingConnection
from chassis.statements import Parameters, Statements
from contracts.message import Message

Outcome = TypeVar("Outcome")

MAX_ATTEMPTS = 5
SESSION_SETTINGS = {
    "jit": "off",
    # Statements look up rows by key, so a custom plan is never better than the generic one; for
    # `any(array)` PostgreSQL would otherwise plan every execution.
    "plan_cache_mode": "force_generic_plan",
    **session_limits.SERVICE_SESSIONS,
}
AFTER_COMMIT = "after_commit"


class Session(AsyncSession):
    """The session of one transaction; plain statements bypass the ORM."""

    def __init__(self, taken: PooledConnection, statements: Statements) -> None:
        super().__init__(taken.shared, expire_on_commit=False)
        self._driver = taken.driver
        self._statements = statements

    async def execute(
        self, statement: Executable, params: Parameters = None, **kwargs: Any
    ) -> Result[Any]:
        """Run a statement. Raises SQLAlchemy's errors."""
        plain = None if kwargs else self._statements.plain(statement, params)
        if plain is not None:
            return await self._driver.run(plain, params)
        return await super().execute(statement, params, **kwargs)

    def begin_nested(self) -> Any:
        """A savepoint: `async with tx.begin_nested(): …`.

        Set on the driver at once, since SQLAlchemy would defer it. For plain statements only: a
        rollback does not restore ORM objects.
        """
        return self._driver.savepoint()

    async def finish(self) -> None:
        """Flush the ORM; the transaction's owner commits."""
        if self.in_transaction() or self.new:
            await self.commit()
            await self.close()


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
                "connection_class": TypeCachingConnection,
                "timeout": 5,
                "command_timeout": command_timeout,
                "server_settings": SESSION_SETTINGS | {"application_name": application_name},
            },
        )
        event.listen(self.engine.sync_engine, "handle_error", _translate_lost_connection)
        self.pool = Pool(self.engine, pool_size, timeout=10)
        self._statements = Statements(self.engine.dialect)
        self.on_commit: Callable[[set[int]], None] = lambda _shards: None
        self.listeners: list[Callable[[Message], None]] = []
        self._loaders: dict[str, BatchLoader[Hashable, Row[Any]]] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """One transaction; it writes the outbox at its end, and the commit wakes the relay."""
        async with self.pool.acquire() as taken:
            tx = Session(taken, self._statements)
            with translate_errors("begin"), invalidate_on_error(taken):
                await taken.driver.begin()
            try:
                yield tx
                published = await outbox.write(tx)
                operation = await operations.record(tx, published)
                await tx.finish()
                with translate_errors("commit"):
                    await taken.driver.commit()
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

    async def execute_once(self, statement: Executable, params: Parameters = None) -> Result[Any]:
        """Execute one statement in a transaction of its own."""
        async with self.pool.acquire() as taken:
            plain = self._statements.plain(statement, params)
            with invalidate_on_error(taken):
                if plain is not None:
                    return await taken.driver.run(plain, params)
                return await taken.shared.execute(statement, params)

    async def load_one(self, statement: TextClause, key: Hashable) -> Row[Any] | None:
        """The row of `key`, by a statement that selects the rows of all `:keys`, key first.

        Concurrent calls share one statement.
        """

        async def read(keys: Sequence[Hashable]) -> dict[Hashable, Row[Any]]:
            return {row[0]: row for row in await self.execute_once(statement, {"keys": keys})}

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
                yield taken.driver.connection

    async def retry(self, work: Callable[[Session], Awaitable[Outcome]]) -> Outcome:
        """Run `work` in a transaction, and retry at once on a conflict with a concurrent one."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DBAPIError as error:
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


async def _roll_back(tx: Session, taken: PooledConnection, reason: BaseException) -> None:
    """Roll back, or invalidate the connection when that fails."""
    try:
        if not taken.is_closed:
            await taken.driver.rollback()
        await tx.close()
        if isinstance(reason, DBAPIError) and ends_session(reason):
            taken.invalidate()
    except BaseException as error:
        taken.invalidate()
        if not isinstance(error, Exception):
            raise


def _translate_lost_connection(context: ExceptionContext) -> None:
    """Raise asyncpg's timeouts and socket errors as SQLAlchemy's, which does not wrap them."""
    if context.statement is not None and isinstance(context.original_exception, OSError):
        with translate_errors(context.statement):
            raise context.original_exception


async def transaction(request: Request) -> AsyncIterator[Session]:
    """The request's transaction; its function scope commits before the response is sent."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        yield session


Tx = Annotated[Session, Depends(transaction, scope="function")]
