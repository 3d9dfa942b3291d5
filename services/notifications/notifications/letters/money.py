"""Amounts as people read them: the digits each currency has, in each language's marks."""

from dataclasses import dataclass
from typing import Final

USUAL_DIGITS: Final = 2

# ISO 4217, list one, "minor unit", where it is not two.
DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

SYMBOLS: Final[dict[str, str]] = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}

NO_BREAK: Final = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Marks:
    """How a language writes amounts: its decimal and group marks, and the side of the currency."""

    decimal: str
    group: str
    is_currency_first: bool


def write(amount: int, currency: str, marks: Marks) -> str:
    """Write an amount in minor units: `$1,299.00`, `1.299,00 €`, `¥1,299`, `KWD 1.299`."""
    digits = DIGITS.get(currency, USUAL_DIGITS)
    whole, fraction = divmod(abs(amount), 10**digits)
    number = f"{whole:,}".replace(",", marks.group)
    if digits:
        number += f"{marks.decimal}{fraction:0{digits}}"
    sign = "-" if amount < 0 else ""
    symbol = SYMBOLS.get(currency, currency)
    if not marks.is_currency_first:
        return f"{sign}{number}{NO_BREAK}{symbol}"
    gap = NO_BREAK if symbol == currency else ""
    return f"{sign}{symbol}{gap}{number}"
