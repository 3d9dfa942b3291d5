"""Types of request and response bodies: strict models, safe text, bounded numbers, money."""

import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from contracts.money import MAX_AMOUNT, Currency, Money

LARGEST_INTEGER = 2**63 - 1
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def in_supported_range(moment: datetime) -> datetime:
    """Return an aware time between 2000 and 2200.

    Raises ValueError otherwise: the years 1 and 9999 overflow in some time zones, and AMQP has no
    times before 1970.
    """
    if moment.tzinfo is None or not EARLIEST <= moment < LATEST:
        raise ValueError("the time must be between 2000 and 2200")
    return moment


def _clean(value: str) -> str:
    """Normalise to NFC; refuse surrogates and control characters. Raises ValueError."""
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\t"):
            raise ValueError("the text contains a character that is not allowed")
    return unicodedata.normalize("NFC", value).strip()


def storable(text: str) -> str:
    """Return the text unchanged. Raises ValueError when PostgreSQL cannot store it."""
    if "\0" in text:
        raise ValueError("the text contains a null character")
    text.encode()
    return text


Storable = Annotated[str, AfterValidator(storable)]
"""Text of another system, not normalised: its ids must not change."""

SafeText = Annotated[str, AfterValidator(_clean)]
"""Text in NFC without control characters or surrogates; add a `Field(max_length=…)`."""


Name = Annotated[SafeText, Field(min_length=1, max_length=100)]
Line = Annotated[SafeText, Field(min_length=1, max_length=200)]
OptionalLine = Annotated[SafeText, Field(max_length=200)]
Note = Annotated[SafeText, Field(max_length=500)]
Slug = Annotated[str, Field(min_length=1, max_length=160, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sku = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Url = Annotated[SafeText, Field(max_length=500, pattern=r"^https?://[^\s]+$")]

# JSON has no such types, so these are parsed from strings even in strict models.
Id = Annotated[UUID, Field(strict=False)]
Day = Annotated[date, Field(strict=False)]
Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(in_supported_range)]

Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
"""Minor units, not negative."""
Price = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
"""Minor units a customer can pay: at least one."""
Pieces = Annotated[int, Field(ge=0, le=10**9)]
"""Whole pieces."""


class Body(BaseModel):
    """A request body: no unknown fields, no implicit conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True, frozen=True)


class View(BaseModel):
    """A response body; can be built from an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


class MoneyBody(Body):
    """An amount in minor units as a client sends it, never negative."""

    amount: Amount
    currency: Currency

    def to_money(self) -> Money:
        """Convert it to the money of the contracts."""
        return Money(amount=self.amount, currency=self.currency)
