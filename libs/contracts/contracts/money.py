"""Money as it stands in messages and on the wire: integer minor units and an ISO 4217 code."""

from typing import Annotated

from pydantic import Field

from contracts.message import Part

MAX_AMOUNT = 10**12

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Money(Part):
    """An amount in the currency's minor unit (cents; whole yen; fils), never a fraction."""

    amount: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    currency: Currency
