"""The one form in which clients send a postal address."""

from typing import Annotated

from pydantic import Field

from chassis.wire import Body, Line, Name, OptionalLine, SafeText
from contracts.address import Address

PostalCode = Annotated[SafeText, Field(max_length=20)]
Phone = Annotated[SafeText, Field(max_length=40, pattern=r"^(\+?[0-9 ()./-]*)$")]


class PlaceBody(Body):
    """A place. `country` is ISO 3166-1 alpha-2, `state` its code where the country has states."""

    line1: Line
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: PostalCode = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: Phone = ""


class AddressBody(PlaceBody):
    """A postal address: where a parcel goes or a bill belongs."""

    recipient_name: Line

    def to_address(self) -> Address:
        """The same as the contracts' address."""
        return Address(**self.model_dump(include=set(Address.model_fields)))
