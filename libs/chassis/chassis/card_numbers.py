"""Card numbers in text: found so that they are refused or redacted, never stored."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

_DIGITS: Final = re.compile(r"\d(?:[ .-]?\d){12,}")
# A whole UUID is no card number, though its digits may look like one.
_UUID: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_SHORTEST, _LONGEST = 13, 19
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: Sequence[int]) -> bool:
    """The check of ISO/IEC 7812-1, annex B: every second digit from the right counts twice."""
    return (sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0


def contains_card_number(text: str) -> bool:
    """Whether a text holds 13 to 19 digits with a valid check digit, grouped or not."""
    return any(
        passes_luhn([int(digit) for digit in digits])
        for run in _DIGITS.findall(_UUID.sub("#", text))
        for digits in _candidates(run)
    )


def _candidates(run: str) -> Iterator[str]:
    """Each unbroken group, and the whole run or every part of one that is too long."""
    yield from (group for group in re.split(r"\D", run) if _SHORTEST <= len(group) <= _LONGEST)
    digits = re.sub(r"\D", "", run)
    if len(digits) <= _LONGEST:
        yield digits
        return
    for length in range(_SHORTEST, _LONGEST + 1):
        yield from (digits[start : start + length] for start in range(len(digits) - length + 1))
