"""Tables: constraint names, how long rows are retained, timestamps, versions and sequences.

A `Table` declares its policy of retention by `info={RETENTION: Retained("…")}`, a mapped class by
`__retention__`. A test refuses a table without one; `pruning` deletes the rows of a `Pruned` table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from sqlalchemy import BigInteger, DateTime, MetaData, Table, func
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


RETENTION: Final = "retention"
"""The key of a table's retention policy in its `info`."""


@dataclass(frozen=True, slots=True)
class Retained:
    """No row is deleted because of its age, for a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeletedBy:
    """A row is deleted when its work has ended; `event` states by what."""

    event: str


@dataclass(frozen=True, slots=True)
class DeletedWith:
    """A row is deleted with its row of the parent table, by a foreign key that cascades."""

    parent: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """Rows are deleted when they are older than `days` and nothing needs them any more.

    by: the column of a row's age, with an index: a time, or a UUIDv7 created with the row.
    where: the SQL condition of a row that nothing needs; `:cutoff` is the time `days` ago.
    unless: what retains a row longer: the same in words.
    least: the fewest days that RETENTION_DAYS may set.
    """

    days: float
    by: str
    where: str = "true"
    unless: str = ""
    least: float = 1


Policy = Retained | DeletedBy | DeletedWith | Pruned


class Model(DeclarativeBase):
    """Subclassed once in a service's domain, as `Base` with `__abstract__` and `own_metadata()`."""

    type_annotation_map = {datetime: DateTime(timezone=True), int: BigInteger}
    metadata = MetaData(naming_convention=NAMING)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if policy := vars(cls).get("__retention__"):
            cast("Table", cls.__table__).info[RETENTION] = policy


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
