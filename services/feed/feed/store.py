"""Queries on events and subscribers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import structured
from feed.domain import Event, LogStart, Subscriber, pattern_of
from subscriber import Logged

FORGOTTEN_AT_ONCE = 5000
NEWEST = text(
    "select start, position, cast(event_id as text) "
    "from (select coalesce(max(position), 0) as start from log_starts) as log "
    "left join (select position, event_id from events order by position desc limit 1) as newest "
    "on true"
)
START = text("select coalesce(max(position), 0) from log_starts")
# Whoever keeps events holds off whoever finds the log renewed, and not its like.
KEEPING = text("lock table log_starts in row share mode")
RENEWING = text("lock table log_starts in exclusive mode")
KEEP = text(
    "insert into events (position, event_id, type, source, subject, time, document) "
    "select * from unnest(cast(:positions as bigint[]), cast(:ids as uuid[]), "
    "cast(:types as text[]), "
    "cast(:sources as text[]), cast(:subjects as text[]), cast(:times as timestamptz[]), "
    "cast(:documents as bytea[])) on conflict do nothing"
)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log was read: where its offset 0 is held, and the newest event held."""

    start: int
    newest: int | None
    event_id: str | None

    @property
    def offset(self) -> int | None:
        """The newest event's offset in the log; None when nothing of this log is held."""
        return None if self.newest is None or self.newest < self.start else self.newest - self.start


class LogWasRenewed(Exception):
    """Somebody else found the log to be another: offsets mean other positions now."""


async def get_bounds(tx: AsyncSession) -> tuple[int, int] | None:
    """The oldest and the newest position held, or None when nothing is."""
    oldest, newest = (
        await tx.execute(select(func.min(Event.position), func.max(Event.position)))
    ).one()
    return None if newest is None else (oldest, newest)


async def get_place(tx: AsyncSession) -> Place:
    """How far the log was read."""
    return Place(*(await tx.execute(NEWEST)).one())


async def begin_anew(tx: AsyncSession, seen: Place) -> Place:
    """Hold the log that is there now behind all that is held; the place from then on.

    Nothing changes when somebody else has found it out since `seen`.
    """
    await tx.execute(RENEWING)
    now = await get_place(tx)
    if now.start != seen.start or now.offset is None:
        return now
    start = int(now.newest or 0) + 1
    await tx.execute(insert(LogStart).values(position=start))
    return replace(now, start=start)


async def keep(tx: AsyncSession, events: Sequence[Logged], start: int = 0) -> None:
    """Keep events of the log that begins at `start`; what is held already stays as it is.

    An event whose id is held was sent once more, after a crash: it stays where it stood first.

    Raises LogWasRenewed when another log begins behind it already.
    """
    await tx.execute(KEEPING)
    if (await get_start(tx)) != start:
        raise LogWasRenewed
    envelopes = [each.envelope for each in events]
    await tx.execute(
        KEEP,
        {
            "positions": [start + each.offset for each in events],
            "ids": [envelope.id for envelope in envelopes],
            "types": [envelope.type for envelope in envelopes],
            "sources": [envelope.source for envelope in envelopes],
            "subjects": [envelope.subject for envelope in envelopes],
            "times": [envelope.time for envelope in envelopes],
            "documents": [structured.write(each.envelope, each.data) for each in events],
        },
    )


async def get_start(tx: AsyncSession) -> int:
    """Where the newest log begins."""
    return int((await tx.execute(START)).scalar_one())


async def forget_before(tx: AsyncSession, position: int) -> None:
    """Delete every event before a position: a cursor from there on is one that expired."""
    await tx.execute(delete(Event).where(Event.position < position))


async def list_events(
    tx: AsyncSession,
    granted: Sequence[str],
    *,
    after: int,
    until: int,
    limit: int,
    types: Sequence[str] = (),
    subject: str | None = None,
    source: str | None = None,
) -> list[tuple[int, bytes]]:
    """Positions and documents behind `after` and not behind `until`, in the order of the log."""
    query = (
        select(Event.position, Event.document)
        .where(Event.position > after, Event.position <= until, _is_one_of(granted))
        .order_by(Event.position)
        .limit(limit)
    )
    if types:
        query = query.where(_is_one_of(types))
    if subject is not None:
        query = query.where(Event.subject == subject)
    if source is not None:
        query = query.where(Event.source == source)
    return [(position, document) for position, document in await tx.execute(query)]


def _is_one_of(types: Sequence[str]) -> Any:
    return Event.type.like(func.any([pattern_of(each) for each in types]))


async def forget(tx: AsyncSession, now: datetime, days: int) -> int:
    """Delete the oldest events that are older than this; returns how many."""
    old = (
        select(Event.position)
        .where(Event.time < now - timedelta(days=days))
        .order_by(Event.position)
        .limit(FORGOTTEN_AT_ONCE)
    )
    gone = await tx.execute(delete(Event).where(Event.position.in_(old)).returning(Event.position))
    return len(gone.all())


async def find_subscriber(tx: AsyncSession, token_hash: str) -> Subscriber | None:
    """The subscriber with a token, or None."""
    query = select(Subscriber).where(Subscriber.token_hash == token_hash)
    found: Subscriber | None = await tx.scalar(query)
    return found


async def list_subscribers(tx: AsyncSession, limit: int, after: str | None) -> list[Subscriber]:
    """Subscribers by name."""
    query = select(Subscriber).order_by(Subscriber.name).limit(limit)
    if after is not None:
        query = query.where(Subscriber.name > after)
    return list(await tx.scalars(query))


async def put_subscriber(
    tx: AsyncSession, name: str, types: Sequence[str], token_hash: str
) -> Subscriber:
    """Make a subscriber, or give one other types and another token."""
    values = {"types": list(types), "token_hash": token_hash, "updated_at": func.now()}
    statement = (
        insert(Subscriber)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=[Subscriber.name], set_=values)
        .returning(Subscriber)
    )
    return (await tx.scalars(statement)).one()


async def delete_subscriber(tx: AsyncSession, name: str) -> bool:
    """Take a subscriber away; tells whether there was one."""
    gone = delete(Subscriber).where(Subscriber.name == name).returning(Subscriber.name)
    return (await tx.execute(gone)).first() is not None
