"""Counts the crashes during a message's handling, to find one that kills its consumer.

The broker counts deliveries, but a lost connection also causes one. So a row is inserted before a
redelivered message is handled and deleted when its handling has returned or raised: a row that is
left belongs to a process that crashed. The first delivery of a message costs nothing.
"""

from collections.abc import Sequence
from uuid import UUID

from chassis.db import Database
from chassis.driver import Sql

# The number of crashes after which a message becomes a dead letter.
MAX_CRASHES = 4

COUNTS = Sql(
    "select message_id, starts from handling_starts where message_id = any(cast(:ids as uuid[]))"
)
BEGIN = Sql(
    "insert into handling_starts (message_id) select unnest(cast(:ids as uuid[])) "
    "on conflict (message_id) do update set starts = handling_starts.starts + 1, "
    "started_at = now()"
)
END = Sql("delete from handling_starts where message_id = any(cast(:ids as uuid[]))")


class NeverEnded(Exception):
    """Every process that handled the message crashed or was cancelled."""


class Starts:
    """The starts of one process. Each method is its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ours: set[UUID] = set()

    async def counts(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often the handling of each was started and never ended; absent where never."""
        found = await self._database.fetch(COUNTS, {"ids": ids})
        return {row.message_id: row.starts for row in found if row.message_id not in self._ours}

    async def begin(self, ids: Sequence[UUID]) -> None:
        """Record the start of each; a duplicate within the batch counts once."""
        await self._database.execute(BEGIN, {"ids": sorted(set(ids))})
        self._ours.update(ids)

    async def end(self, ids: Sequence[UUID]) -> None:
        """Delete the starts of messages whose handling returned or raised."""
        await self._database.execute(END, {"ids": sorted(ids)})
        self._ours.difference_update(ids)

    async def end_all(self) -> None:
        """Delete the starts that an outage of the database left behind.

        Raises the database's error when it accepts no writes, even if there are none.
        """
        await self.end(list(self._ours))

    def abandon(self) -> None:
        """Leave the starts of messages whose handling was cancelled: they count as crashes."""
        self._ours.clear()
