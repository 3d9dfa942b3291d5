"""The parts of a cursor, each read back as its type; a ValueError means the cursor is not ours."""

from datetime import datetime


def text(value: object) -> str:
    """Read a text that PostgreSQL can hold."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("not a text")
    value.encode()
    return value


def small_number(value: object) -> int:
    """Read a number as it is used for priorities."""
    if not isinstance(value, int) or abs(value) >= 2**31:
        raise ValueError("not a small number")
    return value


def instant(value: object) -> datetime:
    """Read a time with its zone."""
    found = datetime.fromisoformat(text(value))
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found
