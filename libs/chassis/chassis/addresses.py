"""The request model of a postal address."""

from typing import Annotated

from pydantic import Field

from chassis.wire import Body, Line, Name, OptionalLine, SafeText
from contracts.address import Address

PostalCode = Annotated[SafeText, Field(max_length=20)]
Phone = Annotated[SafeText, Field(max_length=40, pattern=r"^(\+?[0-9 ()./-]*)$")]


class PlaceBody(Body):
    """A place. `country` is ISO 3166-1 alpha-2; `state` is the code of a state, if any."""

    line1: Line
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: PostalCode = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: Phone = ""


class AddressBody(PlaceBody):
    """A shipping or billing address."""

    recipient_name: Line

    def to_address(self) -> Address:
        """Convert it to the address of the contracts."""
        return Address(**self.model_dump(include=set(Address.model_fields)))
