"""The base of inventory's mapped classes, and the words its columns may hold."""

from typing import Final

from chassis.model import Model, own_metadata

LONGEST_REASON: Final = 500
MOST_PIECES: Final = 10**9


class Base(Model):
    """Inventory's own tables."""

    __abstract__ = True
    metadata = own_metadata()


def one_of(column: str, *words: str) -> str:
    """Build the condition that a text column holds one of the words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} in ({listed})"
