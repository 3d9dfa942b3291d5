"""Queries on events and subscribers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import structured
from feed.domain import Event, Subscriber, pattern_of
from subscriber import Logged

FORGOTTEN_AT_ONCE = 5000
KEEP = text(
    "insert into events (position, type, source, subject, time, document) "
    "select * from unnest(cast(:positions as bigint[]), cast(:types as text[]), "
    "cast(:sources as text[]), cast(:subjects as text[]), cast(:times as timestamptz[]), "
    "cast(:documents as bytea[])) on conflict do nothing"
)


async def get_bounds(tx: AsyncSession) -> tuple[int, int] | None:
    """The oldest and the newest position held, or None when nothing is."""
    oldest, newest = (
        await tx.execute(select(func.min(Event.position), func.max(Event.position)))
    ).one()
    return None if newest is None else (oldest, newest)


async def keep(tx: AsyncSession, events: Sequence[Logged]) -> None:
    """Keep events at their positions; what is held already stays as it is."""
    envelopes = [each.envelope for each in events]
    await tx.execute(
        KEEP,
        {
            "positions": [each.offset for each in events],
            "types": [envelope.type for envelope in envelopes],
            "sources": [envelope.source for envelope in envelopes],
            "subjects": [envelope.subject for envelope in envelopes],
            "times": [envelope.time for envelope in envelopes],
            "documents": [structured.write(each.envelope, each.data) for each in events],
        },
    )


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
