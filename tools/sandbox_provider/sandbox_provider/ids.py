"""Identifiers as the provider hands them out."""

from uuid_utils import uuid7

_LETTERS = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")


def new_id(prefix: str) -> str:
    """A new id that sorts by time, such as `ch_bdrs…`.

    It has no digits, so that none can be taken for a card number, and no vowels, so that none
    spells a word.
    """
    return f"{prefix}_{uuid7().hex.translate(_LETTERS)}"
