"""Every query of identity, as named functions."""

from typing import TypeVar

from chassis.errors import NotFound

Row = TypeVar("Row")


def require(row: Row | None) -> Row:
    """The row; raises NotFound if there is none."""
    if row is None:
        raise NotFound
    return row
