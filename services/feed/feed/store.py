"""Queries on events, log positions and subscribers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.rows import RowArrays
from contracts import structured
from feed.domain import Event, LogStart, Subscriber, like_pattern
from subscriber import Logged

DELETE_BATCH = 5000
LOG_POSITION = Sql(
    "select start, position, cast(event_id as text) "
    "from (select coalesce(max(position), 0) as start from log_starts) as log "
    "left join (select position, event_id from events order by position desc limit 1) as newest "
    "on true"
)
LOG_START = Sql("select coalesce(max(position), 0) from log_starts")
# Appends run beside each other; starting a new log excludes them and other starts.
LOCK_FOR_APPEND = Sql("lock table log_starts in row share mode")
LOCK_FOR_NEW_LOG = Sql("lock table log_starts in exclusive mode")
EVENTS = RowArrays(
    cast("Table", Event.__table__),
    ("position", "event_id", "type", "source", "subject", "time", "document"),
)
# The event's id is unique too: a redelivered event stays at its first position.
APPEND_EVENTS = Sql(f"{EVENTS.insert()} on conflict do nothing")


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The position of the log's offset 0, and the newest stored event of any log."""

    start: int
    newest: int | None
    event_id: str | None

    @property
    def offset(self) -> int | None:
        """The newest event's offset in the log; None while no event of this log is stored."""
        return None if self.newest is None or self.newest < self.start else self.newest - self.start


class LogReplaced(Exception):
    """Another process started a new log: offsets map to other positions now."""


async def get_bounds(tx: AsyncSession) -> tuple[int, int] | None:
    """The oldest and the newest stored position; None for an empty feed."""
    oldest, newest = (
        await tx.execute(select(func.min(Event.position), func.max(Event.position)))
    ).one()
    return None if newest is None else (oldest, newest)


async def get_log_position(tx: AsyncSession) -> LogPosition:
    """The position up to which the log was copied."""
    return LogPosition(*await driver.fetchrow(tx, LOG_POSITION))


async def start_log(tx: AsyncSession, seen: LogPosition) -> LogPosition:
    """Start a recreated log behind the newest stored event; returns the position from then on.

    Does nothing if another process has started it since `seen` was read.
    """
    await driver.execute(tx, LOCK_FOR_NEW_LOG)
    current = await get_log_position(tx)
    if current.start != seen.start or current.offset is None:
        return current
    start = int(current.newest or 0) + 1
    await tx.execute(insert(LogStart).values(position=start))
    return replace(current, start=start)


async def append_events(tx: AsyncSession, events: Sequence[Logged], start: int = 0) -> None:
    """Append events of the log that starts at position `start`; stored events stay unchanged.

    Raises LogReplaced once a newer log has started.
    """
    await driver.execute(tx, LOCK_FOR_APPEND)
    if int(await driver.fetchval(tx, LOG_START)) != start:
        raise LogReplaced
    rows = [
        Event(
            position=start + each.offset,
            event_id=each.envelope.id,
            type=each.envelope.type,
            source=each.envelope.source,
            subject=each.envelope.subject,
            time=each.envelope.time,
            document=structured.write(each.envelope, each.data),
        )
        for each in events
    ]
    await driver.execute(tx, APPEND_EVENTS, EVENTS.parameters(rows))


async def delete_events_before(tx: AsyncSession, position: int) -> None:
    """Delete every event before a position; cursors before it are expired from then on."""
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
    """Positions and documents of `after` < position <= `until`, in the order of the log."""
    query = (
        select(Event.position, Event.document)
        .where(Event.position > after, Event.position <= until, _has_type(granted))
        .order_by(Event.position)
        .limit(limit)
    )
    if types:
        query = query.where(_has_type(types))
    if subject is not None:
        query = query.where(Event.subject == subject)
    if source is not None:
        query = query.where(Event.source == source)
    return [(position, document) for position, document in await tx.execute(query)]


def _has_type(types: Sequence[str]) -> Any:
    return Event.type.like(func.any([like_pattern(each) for each in types]))


async def delete_expired_events(tx: AsyncSession, now: datetime, retention_days: int) -> int:
    """Delete up to DELETE_BATCH of the oldest events past their retention; returns how many."""
    expired = (
        select(Event.position)
        .where(Event.time < now - timedelta(days=retention_days))
        .order_by(Event.position)
        .limit(DELETE_BATCH)
    )
    deleted = await tx.execute(
        delete(Event).where(Event.position.in_(expired)).returning(Event.position)
    )
    return len(deleted.all())


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


async def upsert_subscriber(
    tx: AsyncSession, name: str, types: Sequence[str], token_hash: str
) -> Subscriber:
    """Create a subscriber, or replace the types and token of an existing one."""
    values = {"types": list(types), "token_hash": token_hash, "updated_at": func.now()}
    statement = (
        insert(Subscriber)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=[Subscriber.name], set_=values)
        .returning(Subscriber)
    )
    return (await tx.scalars(statement)).one()


async def delete_subscriber(tx: AsyncSession, name: str) -> bool:
    """Delete a subscriber; returns whether it existed."""
    deleted = delete(Subscriber).where(Subscriber.name == name).returning(Subscriber.name)
    return (await tx.execute(deleted)).first() is not None
