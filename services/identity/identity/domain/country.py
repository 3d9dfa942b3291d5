"""Countries by ISO 3166-1 code, with the states and postal codes that addresses there have."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from chassis.errors import Invalid


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
    """The postal code is not one of the country."""

    code = "bad_postal_code"


@dataclass(frozen=True)
class Country:
    """A country; `states` is empty where none are listed, `postal_code` None where any will do."""

    code: str
    name: str
    states: dict[str, str] = field(default_factory=dict)
    postal_code: re.Pattern[str] | None = None

    def state(self, code: str) -> str:
        """Check a state by its code; without listed states any text, or none, will do."""
        if not self.states:
            return code
        if not code:
            raise StateMissing
        if code.upper() not in self.states:
            raise UnknownState
        return code.upper()

    def checked_postal_code(self, text: str) -> str:
        """Check a postal code, in capitals; required where the country's form is known."""
        code = text.upper()
        if self.postal_code is not None and not self.postal_code.fullmatch(code):
            raise BadPostalCode
        return code


@cache
def countries() -> dict[str, Country]:
    """Load every country, by code."""
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
    """Find a country by its code; raises UnknownCountry."""
    try:
        return countries()[code]
    except KeyError:
        raise UnknownCountry from None
