"""Identifiers and the clock: UUIDv7 everywhere, UTC everywhere."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils

from chassis import clock


def new_id() -> UUID:
    """A fresh UUIDv7: sortable by the millisecond it was made in."""
    made = UUID(bytes=uuid_utils.uuid7().bytes)
    if not clock.clock.correction:
        return made
    # Shifted, because only ids that the library times itself are sorted within a millisecond.
    return UUID(int=made.int + (int(clock.clock.correction * 1000) << 80))


def lowest_id(moment: datetime) -> UUID:
    """The lowest UUIDv7 that can have been made at `moment` or later; none was before 1970."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def utcnow() -> datetime:
    """The time now, aware and in UTC. Rules never call this; they are handed `now`."""
    return datetime.fromtimestamp(clock.now(), UTC)
