"""The idempotent inbox: the id of each message is inserted in the transaction of its effect."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql

INSERT_NEW = Sql(
    "insert into inbox (consumer, message_id) "
    "select :consumer, unnest(cast(:ids as uuid[])) "
    "on conflict do nothing returning message_id"
)
CONTAINS = Sql("select 1 from inbox where consumer = :consumer and message_id = :id")
OLDEST = Sql("select inbox_oldest()")
ROLL = Sql("select inbox_roll(:days)")


async def insert_new(session: AsyncSession, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Insert the ids and return the new ones: only these messages may take effect."""
    found = await driver.fetch(session, INSERT_NEW, {"consumer": consumer, "ids": sorted(set(ids))})
    return {row.message_id for row in found}


async def oldest(session: AsyncSession) -> UUID:
    """The lowest id that the inbox can recognise; older messages must not be handled."""
    found: UUID = await driver.fetchval(session, OLDEST)
    return found


async def roll_partitions(session: AsyncSession, days: int) -> None:
    """Create the partitions of the coming week and drop those older than `days`."""
    await driver.execute(session, ROLL, {"days": days})


async def contains(session: AsyncSession, consumer: str, message_id: UUID) -> bool:
    """Whether the message has taken effect already."""
    values = {"consumer": consumer, "id": message_id}
    return await driver.fetchrow(session, CONTAINS, values) is not None
