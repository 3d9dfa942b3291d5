"""Whether the messages of one aggregate were heard in the order in which they were said."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def inversions(heard: Iterable[tuple[Key, int]]) -> int:
    """How many came after a later one of their aggregate; each is an aggregate and a sequence."""
    newest: dict[Key, int] = {}
    found = 0
    for aggregate, sequence in heard:
        if sequence < newest.get(aggregate, 0):
            found += 1
        else:
            newest[aggregate] = sequence
    return found
