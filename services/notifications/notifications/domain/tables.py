"""The metadata that the tables of notifications stand in."""

from collections.abc import Iterable

from chassis.model import Model, own_metadata


class Base(Model):
    """The service's own tables."""

    __abstract__ = True
    metadata = own_metadata()


def one_of(column: str, values: Iterable[str]) -> str:
    """Write the SQL of a CHECK that a text column holds one of the values."""
    return f"{column} in ({', '.join(repr(value) for value in values)})"
