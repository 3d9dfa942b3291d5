"""Money in messages and JSON: integer minor units and an ISO 4217 currency code."""

from typing import Annotated

from pydantic import Field

from contracts.message import Part

MAX_AMOUNT = 10**12

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Money(Part):
    """An integer amount in the currency's minor unit, such as cents, yen or fils."""

    amount: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    currency: Currency
