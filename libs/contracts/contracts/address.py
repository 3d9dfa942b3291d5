"""A postal address as commands carry it; events never do."""

from contracts.message import Part


class Address(Part):
    """Where a parcel goes or a bill belongs; `country` is ISO 3166-1 alpha-2, `state` its code."""

    recipient_name: str
    line1: str
    line2: str = ""
    city: str
    state: str = ""
    postal_code: str = ""
    country: str
    phone: str = ""
