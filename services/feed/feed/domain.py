"""What the feed keeps: events at their positions, and who may read which of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Model, Stamped, own_metadata

SUITE = "cartwright"
TYPE = re.compile(r"\*|[a-z_]+\.(\*|[A-Za-z0-9]+(\.v[0-9]+)?)")


class Base(Model):
    """The feed's own tables."""

    __abstract__ = True
    metadata = own_metadata()


class Event(Base):
    """One event of the log; `document` is the whole message as the feed gives it.

    An event that was sent twice stands in the log twice, and here at its first place alone.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_subject_position", "subject", "position"),
        Index("ix_events_type_position", "type", "position"),
        Index("ix_events_time", "time"),
    )

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    type: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    document: Mapped[bytes] = mapped_column(LargeBinary)


class LogStart(Base):
    """A position at which a log begins that was made anew; the first one began at 0."""

    __tablename__ = "log_starts"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Subscriber(Stamped, Base):
    """Another system that may read the events its `types` name."""

    __tablename__ = "subscribers"
    __table_args__ = (CheckConstraint("cardinality(types) > 0", name="types"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))

    def may_read(self, wanted: Sequence[str]) -> bool:
        """Whether every type asked for is one of those granted."""
        return all(any(covers(granted, each) for granted in self.types) for each in wanted)


def covers(granted: str, wanted: str) -> bool:
    """Whether a grant such as `orders.*` holds what is wanted, such as `orders.OrderPlaced`."""
    if granted in ("*", wanted):
        return True
    owner, _, name = granted.partition(".")
    return wanted.startswith(f"{owner}." if name == "*" else f"{granted}.")


def pattern_of(wanted: str) -> str:
    """The SQL pattern of full type names for `*`, `orders.*`, `orders.OrderPlaced` or a version."""
    if wanted == "*":
        return f"{SUITE}.%"
    owner, name, *version = wanted.replace("_", r"\_").split(".")
    tail = "%" if name == "*" else ".".join([name, *(version or ["v%"])])
    return f"{SUITE}.{owner}.{tail}"
