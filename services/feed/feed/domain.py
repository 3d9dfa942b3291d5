"""Events at their positions, and the subscribers that may read them."""

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import DeletedBy, Model, Retained, Stamped, own_metadata

SUITE = "cartwright"
TYPE = re.compile(r"\*|[a-z_]+\.(\*|[A-Za-z0-9]+(\.v[0-9]+)?)")


class Base(Model):
    """The feed's own tables."""

    __abstract__ = True
    metadata = own_metadata()


class Event(Base):
    """One event of the log; `document` is the whole message as the feed returns it.

    A redelivered event has two offsets in the log, and here the position of its first one.
    """

    __tablename__ = "events"
    __retention__ = DeletedBy("the sweep `expired events` after KEEP_DAYS, in the order of the log")
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
    """The position of offset 0 of a recreated log; the first log starts at position 0."""

    __tablename__ = "log_starts"
    __retention__ = Retained("a row for each log that was recreated; cursors need it")

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Subscriber(Stamped, Base):
    """Another system that may read the events its `types` name."""

    __tablename__ = "subscribers"
    __retention__ = Retained("a row for each subscriber, which staff delete")
    __table_args__ = (CheckConstraint("cardinality(types) > 0", name="types"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))

    def may_read(self, requested: Sequence[str]) -> bool:
        """Whether the grants cover every requested type."""
        return all(any(covers(granted, each) for granted in self.types) for each in requested)


def covers(granted: str, requested: str) -> bool:
    """Whether a grant such as `orders.*` covers a type such as `orders.OrderPlaced`."""
    if granted in ("*", requested):
        return True
    owner, _, name = granted.partition(".")
    return requested.startswith(f"{owner}." if name == "*" else f"{granted}.")


def like_pattern(requested: str) -> str:
    """The SQL pattern of full type names for `*`, `orders.*`, `orders.OrderPlaced` or a version."""
    if requested == "*":
        return f"{SUITE}.%"
    owner, name, *version = requested.replace("_", r"\_").split(".")
    tail = "%" if name == "*" else ".".join([name, *(version or ["v%"])])
    return f"{SUITE}.{owner}.{tail}"
