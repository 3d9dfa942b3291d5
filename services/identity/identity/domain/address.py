"""Addresses of customers, and the countries, states, postal codes and phone numbers in them."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Literal
from uuid import UUID

import phonenumbers
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, Refused
from chassis.model import Aggregate, Pruned
from identity.domain import Base

AddressType = Literal["billing", "shipping"]
MAX_ADDRESSES = 100


class TooManyAddresses(Refused):
    """A customer has at most a hundred addresses; delete one first."""

    code = "too_many_addresses"


class UnknownCountry(Invalid):
    """There is no such country; use its two-letter ISO 3166-1 code."""

    code = "unknown_country"


class StateMissing(Invalid):
    """An address in this country needs the code of its state."""

    code = "state_missing"


class UnknownState(Invalid):
    """The country has no such state; use its code from the list of countries."""

    code = "unknown_state"


class BadPostalCode(Invalid):
    """The postal code does not match the country's format."""

    code = "bad_postal_code"


class BadPhone(Invalid):
    """The phone number is not valid; write it with its country code, as in +4930901820."""

    code = "bad_phone"


class Address(Aggregate, Base):
    """One address of one customer; deleted softly. Of each type at most one is the default."""

    __tablename__ = "addresses"
    __retention__ = Pruned(days=30, by="deleted_at", unless="the customer has not deleted it")
    __table_args__ = (
        CheckConstraint("type in ('billing', 'shipping')", name="type"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("deleted_at is null or not is_default", name="deleted_is_no_default"),
        Index("ix_addresses_customer_id_id", "customer_id", "id"),
        Index(
            "uq_addresses_default",
            "customer_id",
            "type",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        Index(
            "ix_addresses_deleted_at",
            "deleted_at",
            postgresql_where=text("deleted_at is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    type: Mapped[str] = mapped_column(String(20))
    recipient_name: Mapped[str] = mapped_column(String(200))
    line1: Mapped[str] = mapped_column(String(200))
    line2: Mapped[str] = mapped_column(String(200), default="")
    city: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(100), default="")
    postal_code: Mapped[str] = mapped_column(String(20), default="")
    country: Mapped[str] = mapped_column(String(2))
    phone: Mapped[str] = mapped_column(String(20), default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(100))

    def delete(self, by: str, now: datetime) -> None:
        """Delete the address softly; orders have their own copy of it."""
        self.deleted_at, self.deleted_by = now, by
        self.is_default = False
        self.touch()


@dataclass(frozen=True)
class Country:
    """A country; `states` is empty where none are listed, `postal_code` None for any format."""

    code: str
    name: str
    states: dict[str, str] = field(default_factory=dict)
    postal_code: re.Pattern[str] | None = None

    def normalize_state(self, code: str) -> str:
        """The state's code in capitals; any text, or none, in a country without listed states."""
        if not self.states:
            return code
        if not code:
            raise StateMissing
        if code.upper() not in self.states:
            raise UnknownState
        return code.upper()

    def normalize_postal_code(self, text: str) -> str:
        """The postal code in capitals; required where the country's format is known."""
        code = text.upper()
        if self.postal_code is not None and not self.postal_code.fullmatch(code):
            raise BadPostalCode
        return code


@cache
def countries() -> dict[str, Country]:
    """Every country, by code."""
    text = (files("identity") / "reference" / "countries.json").read_text(encoding="utf-8")
    return {
        row["code"]: Country(
            code=row["code"],
            name=row["name"],
            states=row.get("states", {}),
            postal_code=re.compile(row["postal_code"], re.ASCII) if "postal_code" in row else None,
        )
        for row in json.loads(text)
    }


def find_country(code: str) -> Country:
    """The country of a code; raises UnknownCountry."""
    try:
        return countries()[code]
    except KeyError:
        raise UnknownCountry from None


def to_e164(text: str, country: str | None = None) -> str:
    """Format a number as `+4930901820`; without a country code it is a number of `country`.

    Raises BadPhone unless the number is possible in the numbering plan of its country.
    """
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise BadPhone from None
    if not phonenumbers.is_possible_number(number):
        raise BadPhone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
