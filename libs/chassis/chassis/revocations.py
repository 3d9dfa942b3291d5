"""Revocation of access tokens before they expire: a read model in every service.

A token carries the generations of its user, its session and its roles. Identity publishes the
lowest valid generation of each; every service stores it in its own database and refuses older
tokens. Generations are compared instead of times, so that no clock matters and a token issued right
after a change is valid.
"""

import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, Table, Uuid, func, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.db import Database
from chassis.driver import Sql
from chassis.errors import Unauthenticated, Unavailable
from chassis.keys import LEEWAY, MAX_LIFETIME
from chassis.model import RETENTION, Pruned
from chassis.single_flight import SingleFlight
from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked

Revoked = UserTokensRevoked | SessionTokensRevoked | RoleTokensRevoked

# Seconds for which a process uses its cache.
FRESH_FOR = 0.3
# The cache is reloaded after this many seconds, which also drops expired rows.
RELOAD_AFTER = 60.0
READ_LIMIT = 5.0
FAILURE_PAUSE = 0.2
# The tokens of a row were issued before it was written, and have expired by then.
DAYS_STORED = (MAX_LIFETIME + LEEWAY + 60) / 86_400

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
    info={RETENTION: Pruned(DAYS_STORED, by="created_at", least=DAYS_STORED)},
)

STORE = Sql(
    "insert into token_cutoffs as known (subject, generation) "
    "select * from unnest(cast(:subjects as uuid[]), cast(:generations as bigint[])) "
    "on conflict (subject) do update set written_by = default, created_at = default, "
    "generation = greatest(known.generation, excluded.generation)"
)
# Transactions below the horizon have ended: this statement saw what they wrote.
CHANGED = Sql(
    "select now.horizon, changed.subject, changed.generation from (select "
    "cast(cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as bigint) as horizon) now "
    "left join token_cutoffs changed on changed.written_by >= :horizon"
)
IS_REVOKED = Sql(
    "select exists (select 1 from unnest(cast(:subjects as uuid[]), "
    "cast(:generations as bigint[])) as token (subject, generation) "
    "join token_cutoffs c on c.subject = token.subject and c.generation > token.generation)"
)


class TokenRevoked(Unauthenticated):
    """The access token was revoked; get another with the refresh token, or log in again."""

    code = "token_revoked"


def _revoked() -> TokenRevoked:
    return TokenRevoked(headers={"WWW-Authenticate": "Bearer"})


def cutoff_of(event: Revoked) -> tuple[UUID, int]:
    """The subject of an event, and the lowest valid generation of its tokens."""
    match event:
        case UserTokensRevoked():
            return event.user_id, event.generation
        case SessionTokensRevoked():
            return event.session_id, 1
        case RoleTokensRevoked():
            return event.role_id, event.generation


async def store(events: Sequence[Revoked], tx: AsyncSession) -> None:
    """Store the lowest valid generations of the events, in any order and any number of times."""
    newest: dict[UUID, int] = {}
    for subject, generation in map(cutoff_of, events):
        newest[subject] = max(generation, newest.get(subject, 0))
    subjects = sorted(newest)
    generations = [newest[subject] for subject in subjects]
    await driver.execute(tx, STORE, {"subjects": subjects, "generations": generations})


async def check_now(tx: AsyncSession, generations: Mapping[UUID, int]) -> None:
    """Refuse a revoked token by the database, in the transaction of the change."""
    values = {"subjects": list(generations), "generations": list(generations.values())}
    if await driver.fetchval(tx, IS_REVOKED, values):
        raise _revoked()


class Revocations:
    """A cache of the database's revocations, at most FRESH_FOR seconds old when it is used.

    It is refreshed when a token is checked, first completely and then incrementally. A process that
    was started or frozen refreshes before it answers; during a database outage no token is valid.
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
        """Refuse a revoked token.

        Raises TokenRevoked; Unavailable or the database's error when the cache cannot be refreshed.
        """
        if time.monotonic() - self._read_at > FRESH_FOR:
            try:
                await self._reading.run(self._read)
            except TimeoutError:
                raise Unavailable("Tokens cannot be verified at present; try again soon.") from None
        for subject, generation in generations.items():
            if self._generations.get(subject, 0) > generation:
                raise _revoked()

    async def _read(self) -> None:
        began = time.monotonic()
        reload = began - self._loaded_at > RELOAD_AFTER
        since = 0 if reload else self._horizon
        rows = await self._database.fetch(CHANGED, {"horizon": since})
        if reload:
            self._generations, self._loaded_at = {}, began
        found = {row.subject: row.generation for row in rows if row.subject is not None}
        self._generations.update(found)
        self._horizon, self._read_at = rows[0].horizon, began
