"""Base classes of mapped classes: constraint names, timestamps, versions and event sequences."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import BigInteger, DateTime, MetaData, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from contracts.message import Event

RecordedEvent = TypeVar("RecordedEvent", bound=Event)

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Model(DeclarativeBase):
    """Subclassed once in a service's domain, as `Base` with `__abstract__` and `own_metadata()`."""

    type_annotation_map = {datetime: DateTime(timezone=True), int: BigInteger}
    metadata = MetaData(naming_convention=NAMING)


def own_metadata() -> MetaData:
    """A new metadata, so that two services in one test process share no table."""
    return MetaData(naming_convention=NAMING)


def check_in(column: str, values: Iterable[str]) -> str:
    """The SQL of a CHECK that a text column holds one of the values."""
    return f"{column} in ({', '.join(repr(value) for value in values)})"


class Stamped:
    """A row with the times of its creation and last change (UTC)."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Aggregate(Stamped):
    """A row that is locked before it changes. `version` is its ETag; `sequence` numbers its events.

    The row lock, not the version, serialises writers.
    """

    version: Mapped[int] = mapped_column(server_default="1", default=1)
    sequence: Mapped[int] = mapped_column(server_default="0", default=0)

    def record(self, event: RecordedEvent) -> RecordedEvent:
        """Assign the next sequence to an event of this aggregate; the row must be locked or new."""
        self.sequence = (self.sequence or 0) + 1
        return event.with_sequence(self.sequence)

    def touch(self) -> None:
        """Increment the version; call it in every method that changes the aggregate."""
        self.version = (self.version or 0) + 1
