"""Statements that run on asyncpg, in the same transaction as SQLAlchemy's.

`driver.fetch(tx, …)` and its siblings run on asyncpg; `tx.execute(…)` and the ORM on SQLAlchemy.
Hot paths use the first: a statement costs about a quarter of what it costs through an AsyncSession.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

Values = Mapping[str, Any]
Outcome = TypeVar("Outcome")

# Not a cast (`::text`), and no part of a time or a slice (`12:30`).
PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]\w*)")
CONNECTION: Final = "asyncpg connection"
NO_VALUES: Final[Values] = {}


class Record(asyncpg.Record):  # type: ignore[misc]
    """A row of asyncpg, whose columns are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Sql:
    """A constant statement for asyncpg, with named parameters such as `:id`.

    Values go to asyncpg and come from it as they are. JSON is a `str` as a parameter and decoded
    in a `Record`.
    """

    __slots__ = ("names", "text")

    def __init__(self, statement: str) -> None:
        self.names = list(dict.fromkeys(PARAMETER.findall(statement)))
        self.text = PARAMETER.sub(lambda found: f"${self.names.index(found[1]) + 1}", statement)

    def arguments(self, values: Values) -> list[Any]:
        """The values in the order of their placeholders. Raises KeyError for a missing one."""
        return [values[name] for name in self.names]


def connection_of(tx: AsyncSession) -> asyncpg.Connection:
    """The connection of a transaction of `Database`."""
    connection: asyncpg.Connection = tx.info[CONNECTION]
    return connection


async def fetch(tx: AsyncSession, statement: Sql, values: Values = NO_VALUES) -> list[Any]:
    """Run a statement on asyncpg and return its rows, as `Record`s."""
    call = connection_of(tx).fetch(statement.text, *statement.arguments(values))
    return await reachable(call)


async def fetchrow(tx: AsyncSession, statement: Sql, values: Values = NO_VALUES) -> Any:
    """Run a statement on asyncpg and return its first row, as a `Record`, or None."""
    call = connection_of(tx).fetchrow(statement.text, *statement.arguments(values))
    return await reachable(call)


async def fetchval(tx: AsyncSession, statement: Sql, values: Values = NO_VALUES) -> Any:
    """Run a statement on asyncpg and return the first value of its first row, or None."""
    call = connection_of(tx).fetchval(statement.text, *statement.arguments(values))
    return await reachable(call)


async def execute(tx: AsyncSession, statement: Sql, values: Values = NO_VALUES) -> int:
    """Run a statement on asyncpg and return how many rows it wrote."""
    call = connection_of(tx).execute(statement.text, *statement.arguments(values))
    count = (await reachable(call)).rpartition(" ")[2]
    return int(count) if count.isdigit() else 0


async def executemany(tx: AsyncSession, statement: Sql, rows: Iterable[Values]) -> None:
    """Run a statement on asyncpg for each row of values."""
    call = connection_of(tx).executemany(statement.text, [statement.arguments(row) for row in rows])
    await reachable(call)


@asynccontextmanager
async def savepoint(tx: AsyncSession) -> AsyncIterator[None]:
    """A savepoint, released at the end and rolled back on an error.

    For statements on asyncpg only: a rollback does not restore ORM objects.
    """
    connection = connection_of(tx)
    await reachable(connection.execute("savepoint part"))
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("rollback to savepoint part; release savepoint part")
        raise
    await reachable(connection.execute("release savepoint part"))


async def reachable(call: Awaitable[Outcome]) -> Outcome:
    """The outcome of a call to the server. Raises asyncpg's errors.

    A silent server and a failed socket count as a lost connection: asyncpg raises TimeoutError and
    OSError for them, as other libraries do for their own peers.
    """
    try:
        return await call
    except OSError as error:
        raise ConnectionError(f"the database does not respond: {error!r}") from error
