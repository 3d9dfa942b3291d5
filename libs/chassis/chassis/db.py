"""The database: one pool, and one transaction per request or message, with the outbox inside it.

The chassis begins and ends the transaction on the driver's connection; SQLAlchemy runs on it in its
autocommit mode, so ORM and plain statements share it without either knowing of the other.
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

MAX_REPEATS = 5
SESSION_SETTINGS = {
    "jit": "off",
    # Statements ask by key: a plan for these very values is never the better one,
    # and PostgreSQL would go on to make one for each `any(array)`.
    "plan_cache_mode": "force_generic_plan",
    **session_limits.SERVICE_SESSIONS,
}
AFTER_COMMIT = "after_commit"


class Session(AsyncSession):
    """The session of one transaction; what is plain goes straight to the driver."""

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
        """A part of the transaction that may fail alone: `async with tx.begin_nested(): …`.

        Set on the driver at once: SQLAlchemy would wait until it is used itself. For plain
        statements; the ORM's objects know nothing of it.
        """
        return self._driver.savepoint()

    async def finish(self) -> None:
        """Write what the ORM still holds; the transaction's owner commits."""
        if self.in_transaction() or self.new:
            await self.commit()
            await self.close()


def after_commit(tx: AsyncSession, call: Callable[[], None]) -> None:
    """Call something as soon as this transaction has committed, and not otherwise.

    For what shortens a wait: it must not fail, and a crash right after the commit loses it.
    SQLAlchemy's own event of this name comes too early here, or never: it does not commit.
    """
    tx.info.setdefault(AFTER_COMMIT, []).append(call)


class Database:
    """A service's own database.

    Right after each commit that says something, `on_commit` is called with the shards that got
    messages (the relay listens there), and each of `listeners` with each message: whoever waits in
    this process need not wait for the broker.
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
            # Statements may end up in logs; what they carry is somebody's.
            hide_parameters=True,
            # The pool below bounds and keeps them; a second one could only disagree with it.
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
        self._together: dict[str, BatchLoader[Hashable, Row[Any]]] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """One transaction: what is added to the outbox is written at its end, and sent after it."""
        async with self.pool.take() as taken:
            tx = Session(taken, self._statements)
            with translate_errors("begin"), invalidate_on_error(taken):
                await taken.driver.begin()
            try:
                yield tx
                said = await outbox.write(tx)
                operation = await operations.record(tx, said)
                await tx.finish()
                with translate_errors("commit"):
                    await taken.driver.commit()
            except BaseException as error:
                await _undo(tx, taken, error)
                raise
        if operation is not None:
            operation.is_recorded = True
        if said:
            self.on_commit({outbox.shard_of(message.subject()) for message in said})
            for listener in self.listeners:
                for message in said:
                    listener(message)
        for call in tx.info.get(AFTER_COMMIT, ()):
            call()

    async def execute_once(self, statement: Executable, params: Parameters = None) -> Result[Any]:
        """The answer of one statement that is its own transaction."""
        async with self.pool.take() as taken:
            plain = self._statements.plain(statement, params)
            with invalidate_on_error(taken):
                if plain is not None:
                    return await taken.driver.run(plain, params)
                return await taken.shared.execute(statement, params)

    async def load_one(self, statement: TextClause, key: Hashable) -> Row[Any] | None:
        """The row that begins with `key`, of a statement that selects the rows of all `:keys`.

        Keys that are asked for at the same time are read in one statement.
        """

        async def read(keys: Sequence[Hashable]) -> dict[Hashable, Row[Any]]:
            return {row[0]: row for row in await self.execute_once(statement, {"keys": keys})}

        together = self._together.get(statement.text)
        if together is None:
            together = self._together[statement.text] = BatchLoader(read)
        return await together.get(key)

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool without SQLAlchemy around it, for the chassis's own hot paths.

        Whoever uses it owns its transaction wholly: SQLAlchemy begins none on it.
        """
        async with self.pool.take() as taken:
            with invalidate_on_error(taken):
                yield taken.driver.connection

    async def retry(self, work: Callable[[Session], Awaitable[Outcome]]) -> Outcome:
        """Run `work` in a transaction, again at once on a conflict with another one."""
        for attempt in range(1, MAX_REPEATS + 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DBAPIError as error:
                if classify(error) is not ErrorKind.CONFLICT or attempt == MAX_REPEATS:
                    raise
        raise AssertionError("the last attempt either returned or raised")

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.pool.close()
        await self.engine.dispose()


@contextmanager
def invalidate_on_error(taken: PooledConnection) -> Iterator[None]:
    """Throw a connection away whose operation did not come to its end.

    The driver may wait for a word that never comes, and not call itself closed yet.
    """
    try:
        yield
    except BaseException as error:
        if ends_session(error):
            taken.invalidate()
        raise


async def _undo(tx: Session, taken: PooledConnection, reason: BaseException) -> None:
    """Roll back; a connection that cannot even do that is thrown away."""
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
    """Raise as SQLAlchemy's what it passes on: a time limit of asyncpg, an error of the socket."""
    if context.statement is not None and isinstance(context.original_exception, OSError):
        with translate_errors(context.statement):
            raise context.original_exception


async def transaction(request: Request) -> AsyncIterator[Session]:
    """The request's transaction; it commits before the answer is sent, by its function scope."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        yield session


Tx = Annotated[Session, Depends(transaction, scope="function")]
