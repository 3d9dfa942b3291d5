"""UUIDv7 identifiers and the current time in UTC."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils

from chassis import clock


def new_id() -> UUID:
    """A new UUIDv7, which sorts by its time of creation."""
    made = UUID(bytes=uuid_utils.uuid7().bytes)
    correction = clock.clocks.get().correction
    if not correction:
        return made
    # Shifted, because the library sorts ids within a millisecond only if it reads the time itself.
    return UUID(int=made.int + (int(correction * 1000) << 80))


def lowest_id(moment: datetime) -> UUID:
    """The lowest UUIDv7 of a time; times before 1970 count as 1970."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def utcnow() -> datetime:
    """The current time, aware and in UTC. Rules take `now` as a parameter instead."""
    return datetime.fromtimestamp(clock.now(), UTC)
