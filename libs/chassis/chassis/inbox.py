"""The idempotent inbox: a message id is remembered in the transaction of its effect."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

REMEMBER = text(
    "insert into inbox (consumer, message_id) "
    "select :consumer, unnest(cast(:ids as uuid[])) "
    "on conflict do nothing returning message_id"
)
KNOWS = text("select 1 from inbox where consumer = :consumer and message_id = :id")
OLDEST = text("select inbox_oldest()")
ROLL = text("select inbox_roll(:days)")


async def remember(session: AsyncSession, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Insert the ids and return those that were not known: only they may have an effect."""
    found = await session.execute(REMEMBER, {"consumer": consumer, "ids": sorted(set(ids))})
    return set(found.scalars())


async def oldest(session: AsyncSession) -> UUID:
    """The lowest id whose repeat would still be noticed; anything older must not be handled."""
    found: UUID = (await session.execute(OLDEST)).scalar_one()
    return found


async def roll(session: AsyncSession, days: int) -> None:
    """Make the partitions of the coming week and drop those older than `days`."""
    await session.execute(ROLL, {"days": days})


async def knows(session: AsyncSession, consumer: str, message_id: UUID) -> bool:
    """Whether the message already had its effect."""
    found = await session.execute(KNOWS, {"consumer": consumer, "id": message_id})
    return found.first() is not None
