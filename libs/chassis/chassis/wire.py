"""What JSON may look like at the edge: strict bodies, safe text, bounded numbers, money."""

import unicodedata
from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.money import MAX_AMOUNT, Currency, Money


def _clean(value: str) -> str:
    """Normalise to NFC; refuse surrogates and controls, on which databases and terminals choke."""
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\t"):
            raise ValueError("the text holds a character that is not allowed")
    return unicodedata.normalize("NFC", value).strip()


SafeText = Annotated[str, AfterValidator(_clean)]
"""Text in NFC without control characters or surrogates; add a `Field(max_length=…)`."""


Name = Annotated[SafeText, Field(min_length=1, max_length=100)]
Line = Annotated[SafeText, Field(min_length=1, max_length=200)]
OptionalLine = Annotated[SafeText, Field(max_length=200)]
Note = Annotated[SafeText, Field(max_length=500)]
Slug = Annotated[str, Field(min_length=1, max_length=160, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sku = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Url = Annotated[SafeText, Field(max_length=500, pattern=r"^https?://[^\s]+$")]

# JSON has no form for these of its own, so strictness cannot mean "already of that type".
Id = Annotated[UUID, Field(strict=False)]
Day = Annotated[date, Field(strict=False)]

Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
"""Minor units, not negative."""
Price = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
"""Minor units a customer can pay: at least one."""
Pieces = Annotated[int, Field(ge=0, le=10**9)]
"""Whole pieces."""


class Body(BaseModel):
    """A request: no unknown fields, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True, frozen=True)


class View(BaseModel):
    """An answer; can be read off an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


class MoneyBody(Body):
    """An amount in minor units as a client sends it, never negative."""

    amount: Amount
    currency: Currency

    def to_money(self) -> Money:
        """The same as the contracts' money."""
        return Money(amount=self.amount, currency=self.currency)
