"""The driver of one connection: runs transactions and plain statements."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Result
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError

from chassis.statements import Parameters, Plain

COUNTED = re.compile(r"(\d+)$")
MAX_PREPARED = 300
DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
NO_COLUMNS = SimpleResultMetaData(())


class TransactionAborted(Exception):
    """A statement of the transaction had failed and its error was ignored."""


class Rows(IteratorResult[Any]):
    """A plain statement's result, with PostgreSQL's `rowcount`."""

    def __init__(self, shape: SimpleResultMetaData, rows: Iterable[Any], rowcount: int) -> None:
        super().__init__(shape, iter(rows))
        self.rowcount = rowcount


class Driver:
    """The driver of one connection, with its prepared statements."""

    __slots__ = ("_prepared", "connection")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._prepared: dict[str, tuple[Any, SimpleResultMetaData]] = {}

    async def begin(self) -> None:
        """Begin a transaction."""
        await self.connection.execute("begin")

    async def commit(self) -> None:
        """Commit. Raises TransactionAborted when the error of a failed statement was ignored."""
        if await self.connection.execute("commit") != "COMMIT":
            raise TransactionAborted

    async def rollback(self) -> None:
        """Roll back."""
        await self.connection.execute("rollback")

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A savepoint, released at the end and rolled back on an error."""
        await self.connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            if not self.connection.is_closed():
                await self.connection.execute("rollback to savepoint part; release savepoint part")
            raise
        await self.connection.execute("release savepoint part")

    async def run(self, plain: Plain, parameters: Parameters) -> Result[Any]:
        """Run a statement. Raises SQLAlchemy's errors, with the driver's as their `orig`."""
        with translate_errors(plain.sql):
            if parameters is None or isinstance(parameters, Mapping):
                return await self._run(plain, plain.values(parameters or {}))
            if len(parameters) == 1:
                return await self._run(plain, plain.values(parameters[0]))
            await self.connection.executemany(plain.sql, [plain.values(row) for row in parameters])
            return Rows(NO_COLUMNS, (), len(parameters))

    async def _run(self, plain: Plain, values: Sequence[Any]) -> Result[Any]:
        known = self._prepared.get(plain.sql)
        if known is None:
            known = await self._prepare(plain)
        prepared, shape = known
        try:
            records = await prepared.fetch(*values)
        except asyncpg.InvalidCachedStatementError:
            # A migration changed the statement's columns; the next transaction prepares it again.
            self._prepared.clear()
            raise
        counted = COUNTED.search(prepared.get_statusmsg() or "")
        return Rows(shape, plain.rows(records), int(counted[1]) if counted else -1)

    async def _prepare(self, plain: Plain) -> tuple[Any, SimpleResultMetaData]:
        prepared = await self.connection.prepare(plain.sql)
        shape = plain.shape
        if shape is None:
            shape = SimpleResultMetaData([column.name for column in prepared.get_attributes()])
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        self._prepared[plain.sql] = prepared, shape
        return prepared, shape


class translate_errors:  # noqa: N801
    """Raises the driver's errors as SQLAlchemy's, without parameters.

    A class, because a generator's context manager costs as much as the rest of a statement.
    """

    __slots__ = ("_sql",)

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        """Enter; errors are translated on exit."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the error as SQLAlchemy's."""
        if not isinstance(error, DRIVER_ERRORS):
            return
        kind: type[DBAPIError] = DBAPIError
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            kind = IntegrityError
        elif not isinstance(error, asyncpg.PostgresError):
            kind = InterfaceError
        is_lost = isinstance(error, asyncpg.PostgresConnectionError | OSError)
        raise kind(
            self._sql, None, error, hide_parameters=True, connection_invalidated=is_lost
        ) from error
