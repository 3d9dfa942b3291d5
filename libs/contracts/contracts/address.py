"""A postal address, which commands carry and events never do."""

from contracts.message import Part


class Address(Part):
    """A shipping or billing address. `country` is ISO 3166-1 alpha-2; `state` is its code."""

    recipient_name: str
    line1: str
    line2: str = ""
    city: str
    state: str = ""
    postal_code: str = ""
    country: str
    phone: str = ""
