"""Classifies database errors, for routes, handlers and jobs alike.

The codes are PostgreSQL's (appendix A of its manual).
"""

from enum import Enum
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chassis.errors import Unavailable

STALE_PLAN: Final = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)

# asyncpg raises the last for a session that the server ended between two statements.
LOST: Final = (PoolTimeout, ConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# What a statement, a BEGIN or a COMMIT raises, on SQLAlchemy or on asyncpg.
DATABASE_ERRORS: Final = (DBAPIError, asyncpg.PostgresError, *LOST[1:])

CONFLICTS: Final = frozenset({"40001", "40P01"})
# Limits of one statement or session; others may succeed.
LIMITED: Final = frozenset({
    "55P03",  # lock_timeout passed, or NOWAIT found a lock
    "55006",  # object in use
    "57014",  # statement_timeout passed, or an operator cancelled the statement
    "53400",  # a limit of the configuration, such as temp_file_limit
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    "57P05",  # idle_session_timeout
})  # fmt: skip
# A statement that exceeds one of these exceeds it again if the cause is its own work.
OWN_LIMITS: Final = frozenset({"57014", "53400"})
OUTAGE_CLASSES: Final = (
    "08",  # connection failure
    "28",  # login refused: a password is being rotated
    "53",  # disk full, out of memory, too many connections
    "57",  # shutdown, start, recovery
    "58",  # input or output error of the server's disks
)
OUTAGES: Final = frozenset({
    "25006",  # read-only: a standby, or an operator's or a provider's safeguard against a full disk
    "3D000",  # the database does not exist: it is being restored
})  # fmt: skip
# After these the session is unusable: the server ended it, or a new session may reach a server that
# accepts writes.
END_OF_SESSION: Final = frozenset({"25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05"})


class DatabaseUnavailable(Unavailable):
    """The database is unavailable; try again soon."""

    code = "database_unavailable"


class Contention(Unavailable):
    """Too many concurrent requests for the same data; try again."""

    code = "contention"


class ErrorKind(Enum):
    """What a caller can do about a failed operation."""

    TRANSIENT = "transient"
    """The database cannot do it now; the request or message is fine: retry later."""
    CONFLICT = "conflict"
    """A concurrent transaction or migration interfered: retry the transaction at once."""
    FAULT = "fault"
    """A retry would fail again."""


def classify(error: BaseException) -> ErrorKind:
    """Classify an error of SQLAlchemy, asyncpg or the pool; any other error is a fault."""
    cause = cause_of(error)
    if isinstance(cause, STALE_PLAN) or sqlstate(error) in CONFLICTS:
        return ErrorKind.CONFLICT
    if sqlstate(error) in LIMITED or is_outage(error):
        return ErrorKind.TRANSIENT
    return ErrorKind.FAULT


def is_outage(error: BaseException) -> bool:
    """Whether the database currently accepts no writes from any caller."""
    code = sqlstate(error)
    if code is not None:
        return code in OUTAGES or (code.startswith(OUTAGE_CLASSES) and code not in LIMITED)
    cause = cause_of(error)
    return isinstance(cause, LOST) and not isinstance(cause, STALE_PLAN)


def counts_as_attempt(error: BaseException) -> bool:
    """Whether the failed handling of a message counts as an attempt.

    A fault does, and a statement that exceeded a limit of its own: retried without an attempt, it
    would exceed the limit for ever.
    """
    return classify(error) is ErrorKind.FAULT or sqlstate(error) in OWN_LIMITS


def ends_session(error: BaseException) -> bool:
    """Whether the session must not be used after the error.

    After an error that the server reported, the session is intact. Otherwise its state is unknown:
    an operation was cut off or cancelled.
    """
    code = sqlstate(error)
    return code is None or code in END_OF_SESSION or code.startswith("08")


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-letter code of an error that the server reported, else None."""
    code: str | None = getattr(cause_of(error), "sqlstate", None)
    return code


def as_problem(error: BaseException) -> Unavailable | None:
    """The 503 that a client receives during an outage or after a conflict; None for a fault."""
    if is_outage(error):
        return DatabaseUnavailable()
    if classify(error) is not ErrorKind.FAULT:
        return Contention()
    return None


def cause_of(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy wraps twice."""
    while isinstance(error, DBAPIError | EmulatedDBAPIException):
        # The dialect's InvalidCachedStatementError has no `orig`.
        wrapped = error.orig or error.__cause__
        if wrapped is None:
            break
        error = wrapped
    return error
