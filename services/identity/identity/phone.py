"""Phone numbers in E.164, checked against the numbering plans of the world."""

import phonenumbers

from chassis.errors import Invalid


class BadPhone(Invalid):
    """The phone number is none; write it with its country code, as in +4930901820."""

    code = "bad_phone"


def in_e164(text: str, country: str | None = None) -> str:
    """Write a number as `+4930901820`; without a country code it is one of `country`."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise BadPhone from None
    if not phonenumbers.is_possible_number(number):
        raise BadPhone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
