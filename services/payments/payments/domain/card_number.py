"""Card numbers are never taken: any text that holds one is refused before it is stored or logged."""

import re
from typing import Final

DIGITS: Final = re.compile(r"\d(?:[ .-]?\d){12,}", re.ASCII)
# As a whole an identifier is no card number, though its digits may look like one.
IDENTIFIER: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
SHORTEST, LONGEST = 13, 19


def holds_card_number(value: str) -> bool:
    """Whether 13 to 19 digits with a right check digit stand anywhere, grouped or not."""
    for run in DIGITS.findall(IDENTIFIER.sub(" ", value)):
        digits = [int(character) for character in run if character.isdecimal()]
        for length in range(SHORTEST, min(LONGEST, len(digits)) + 1):
            starts = range(len(digits) - length + 1)
            if any(passes_luhn(digits[start : start + length]) for start in starts):
                return True
    return False


def passes_luhn(digits: list[int]) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B: every second digit from the right counts twice."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
