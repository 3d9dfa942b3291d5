"""What JSON may look like at the edge: strict bodies, safe text, bounded numbers, money."""

import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from contracts.money import MAX_AMOUNT, Currency, Money

LARGEST_INTEGER = 2**63 - 1
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def in_our_times(moment: datetime) -> datetime:
    """Return a time with its zone that lies in the years of a shop.

    Raises ValueError otherwise: the years 1 and 9999 leave the range of other zones, and AMQP
    counts no seconds before 1970.
    """
    if moment.tzinfo is None or not EARLIEST <= moment < LATEST:
        raise ValueError("the time lies outside of what a shop can mean")
    return moment


def _clean(value: str) -> str:
    """Normalise to NFC; refuse surrogates and controls, on which databases and terminals choke."""
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\t"):
            raise ValueError("the text holds a character that is not allowed")
    return unicodedata.normalize("NFC", value).strip()


def storable(text: str) -> str:
    """Return a text as it is that PostgreSQL can store; raises ValueError for any other."""
    if "\0" in text:
        raise ValueError("the text holds a null character")
    text.encode()
    return text


Storable = Annotated[str, AfterValidator(storable)]
"""Text of another system, not normalised: its ids must stay what they are."""

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
Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(in_our_times)]

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
