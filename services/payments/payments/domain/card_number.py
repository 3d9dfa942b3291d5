"""Card numbers are never taken: text that holds one is refused before it is stored or logged."""

import re
from collections.abc import Iterator
from typing import Final

DIGITS: Final = re.compile(r"\d(?:[ .-]?\d){12,}", re.ASCII)
# As a whole an identifier is no card number, though its digits may look like one.
IDENTIFIER: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
SHORTEST, LONGEST = 13, 19


def holds_card_number(value: str) -> bool:
    """Whether 13 to 19 digits with a right check digit stand anywhere, grouped or not."""
    return any(
        passes_luhn([int(digit) for digit in digits])
        for run in DIGITS.findall(IDENTIFIER.sub(" ", value))
        for digits in _candidates(run)
    )


def _candidates(run: str) -> Iterator[str]:
    """What may be a number: each unbroken group, and the run or any part of a long one."""
    yield from (group for group in re.split(r"\D", run) if SHORTEST <= len(group) <= LONGEST)
    digits = re.sub(r"\D", "", run)
    if len(digits) <= LONGEST:
        yield digits
        return
    for length in range(SHORTEST, LONGEST + 1):
        yield from (digits[start : start + length] for start in range(len(digits) - length + 1))


def passes_luhn(digits: list[int]) -> bool:
    """The check of ISO/IEC 7812-1, annex B: every second digit from the right counts twice."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
