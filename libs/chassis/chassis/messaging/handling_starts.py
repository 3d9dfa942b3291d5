"""Which redelivered messages a process has begun to handle, so that one that ends it is found.

The broker counts deliveries, and a lost connection is one: that says nothing of the message. What
counts is written before a redelivered message is handled and deleted when its handling has ended,
whichever way: what is left was being handled by a process that came to its end. A message that
comes for the first time costs nothing here.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database

# The number of processes that may end while handling a message before it becomes a dead letter.
MOST = 4

COUNTS = text(
    "select message_id, starts from handling_starts where message_id = any(cast(:ids as uuid[]))"
)
BEGIN = text(
    "insert into handling_starts (message_id) select unnest(cast(:ids as uuid[])) "
    "on conflict (message_id) do update set starts = handling_starts.starts + 1, "
    "started_at = now()"
)
END = text("delete from handling_starts where message_id = any(cast(:ids as uuid[]))")
FORGET = text("delete from handling_starts where started_at < now() - make_interval(days => :days)")


class NeverEnded(Exception):
    """Every process that handled the message ended, or had to be stopped, before its handling."""


class Starts:
    """The starts of one process. Each method is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ours: set[UUID] = set()

    async def counts(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often each was begun without coming to an end; those never begun are left out."""
        found = await self._database.execute_once(COUNTS, {"ids": ids})
        return {row.message_id: row.starts for row in found if row.message_id not in self._ours}

    async def begin(self, ids: Sequence[UUID]) -> None:
        """Write that these are about to be handled; one that a batch holds twice counts once."""
        await self._database.execute_once(BEGIN, {"ids": sorted(set(ids))})
        self._ours.update(ids)

    async def end(self, ids: Sequence[UUID]) -> None:
        """Delete these: their handling has ended, whichever way."""
        await self._database.execute_once(END, {"ids": sorted(ids)})
        self._ours.difference_update(ids)

    async def end_all(self) -> None:
        """Delete those that could not be deleted in time, the database being away.

        Raises the database's error where it takes no writes, also when there are none.
        """
        await self.end(list(self._ours))

    def leave(self) -> None:
        """Let those stand that are being handled: their handling was stopped."""
        self._ours.clear()
