"""Access tokens that no longer count before they expire, as a read model in every service.

A token names what it was issued from, each with a generation: its user, its session and its roles.
Identity publishes the lowest generation that still counts; every service stores it in its own
database and refuses older tokens. Generations, not times: no clock decides, and a token issued
right after a change counts.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, Row, Table, Uuid, func, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.errors import Unauthenticated, Unavailable
from chassis.keys import LEEWAY, MAX_LIFETIME
from chassis.single_flight import SingleFlight
from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked

Revoked = UserTokensRevoked | SessionTokensRevoked | RoleTokensRevoked

# Seconds for which a process answers from its memory.
FRESH_FOR = 0.3
# Everything is read again after this many seconds, which also forgets what has expired.
RELOAD_AFTER = 60.0
READ_LIMIT = 5.0
FAILURE_PAUSE = 0.2
# Whatever a row concerns was issued before it was written, and has expired by then.
STORED_FOR = MAX_LIFETIME + LEEWAY + 60

metadata = MetaData()

token_cutoffs = Table(
    "token_cutoffs",
    metadata,
    Column("subject", Uuid, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column(
        "written_by",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
    ),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_token_cutoffs_written_by", "written_by"),
    Index("ix_token_cutoffs_created_at", "created_at"),
)

STORE = text(
    "insert into token_cutoffs as known (subject, generation) "
    "select * from unnest(cast(:subjects as uuid[]), cast(:generations as bigint[])) "
    "on conflict (subject) do update set written_by = default, created_at = default, "
    "generation = greatest(known.generation, excluded.generation)"
)
# Transactions below the horizon have ended: what they wrote was visible to this statement.
CHANGED = text(
    "select now.horizon, changed.subject, changed.generation from (select "
    "cast(cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as bigint) as horizon) now "
    "left join token_cutoffs changed on changed.written_by >= :horizon"
)
OUTDATED = text(
    "select exists (select 1 from unnest(cast(:subjects as uuid[]), "
    "cast(:generations as bigint[])) as token (subject, generation) "
    "join token_cutoffs c on c.subject = token.subject and c.generation > token.generation)"
)
FORGET = text(
    "delete from token_cutoffs where created_at < now() - make_interval(secs => :seconds)"
)


class TokenRevoked(Unauthenticated):
    """The access token no longer counts; get another with the refresh token, or log in again."""

    code = "token_revoked"


def _refused() -> TokenRevoked:
    return TokenRevoked(headers={"WWW-Authenticate": "Bearer"})


def cutoff_of(event: Revoked) -> tuple[UUID, int]:
    """Return whose tokens an event concerns, and the lowest generation that counts."""
    match event:
        case UserTokensRevoked():
            return event.user_id, event.generation
        case SessionTokensRevoked():
            return event.session_id, 1
        case RoleTokensRevoked():
            return event.role_id, event.generation


async def store(events: Sequence[Revoked], tx: AsyncSession) -> None:
    """Store what the events say, in any order and however often."""
    newest: dict[UUID, int] = {}
    for subject, generation in map(cutoff_of, events):
        newest[subject] = max(generation, newest.get(subject, 0))
    subjects = sorted(newest)
    generations = [newest[subject] for subject in subjects]
    await tx.execute(STORE, {"subjects": subjects, "generations": generations})


async def check_now(tx: AsyncSession, generations: Mapping[UUID, int]) -> None:
    """Refuse an outdated token by the database itself, in the transaction that it would change."""
    values = {"subjects": list(generations), "generations": list(generations.values())}
    if (await tx.execute(OUTDATED, values)).scalar_one():
        raise _refused()


async def forget(database: Database) -> None:
    """Delete what concerns only tokens that have expired."""
    async with database.transaction() as tx:
        await tx.execute(FORGET, {"seconds": STORED_FOR})


class Revocations:
    """What the database holds, in memory and at most FRESH_FOR seconds old when it is used.

    It is read when a token is checked, at first wholly and then what changed: a process that has
    just started or was frozen reads before it answers, and while the database is unavailable no
    token counts.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generations: dict[UUID, int] = {}
        self._horizon = 0
        self._loaded_at = self._read_at = float("-inf")
        self._reading = SingleFlight[None](
            "token cutoffs", time_limit=READ_LIMIT, pause=FAILURE_PAUSE
        )

    async def check(self, generations: Mapping[UUID, int]) -> None:
        """Refuse a token that one of its generations makes outdated.

        Raises TokenRevoked; Unavailable, or the database's error, when it cannot be known.
        """
        if time.monotonic() - self._read_at > FRESH_FOR:
            try:
                await self._reading.run(self._read)
            except TimeoutError:
                raise Unavailable("Tokens cannot be checked just now; try again soon.") from None
        for subject, generation in generations.items():
            if self._generations.get(subject, 0) > generation:
                raise _refused()

    async def _read(self) -> None:
        began = time.monotonic()
        reload = began - self._loaded_at > RELOAD_AFTER
        since = 0 if reload else self._horizon
        changed = await self._database.execute_once(CHANGED, {"horizon": since})
        rows: list[Row[Any]] = list(changed.all())
        if reload:
            self._generations, self._loaded_at = {}, began
        found = {row.subject: row.generation for row in rows if row.subject is not None}
        self._generations.update(found)
        self._horizon, self._read_at = rows[0].horizon, began
