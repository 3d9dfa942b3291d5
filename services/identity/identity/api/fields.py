"""The forms of fields that several of identity's requests share."""

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from chassis.wire import SafeText
from identity import phone


def _email(text: str) -> str:
    """Bring an address to the one form in which it is kept and compared: ASCII, lower case."""
    try:
        checked = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise ValueError("this is no e-mail address") from None
    if checked.ascii_email is None:
        raise ValueError("this is no e-mail address")
    return checked.ascii_email.lower()


Email = Annotated[str, Field(max_length=255), AfterValidator(_email)]

# Rules about its strength are the domain's, so that they answer with codes of their own.
Password = Annotated[SafeText, Field(min_length=1, max_length=256)]

Phone = Annotated[str, Field(max_length=40), AfterValidator(phone.in_e164)]
"""A number with its country code; kept in E.164."""

Token = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")]
"""A token that identity gave out."""

RoleName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z][a-z0-9_-]*$")]
