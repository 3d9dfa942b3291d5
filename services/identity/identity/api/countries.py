"""The countries an address may be in."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from chassis.errors import NotFound
from chassis.wire import View
from identity.domain.country import Country, countries

router = APIRouter(prefix="/v1/countries")
A_DAY = "public, max-age=86400"


class StateView(View):
    """A state, province or territory."""

    code: str
    name: str


class CountryView(View):
    """A country; where `states` are listed an address needs one of them."""

    code: str
    name: str
    states: list[StateView]

    @classmethod
    def of(cls, country: Country) -> "CountryView":
        """Show a country."""
        states = [StateView(code=code, name=name) for code, name in country.states.items()]
        return cls(code=country.code, name=country.name, states=states)


class CountriesView(View):
    """Every country of ISO 3166-1, by code."""

    items: list[CountryView]


@router.get("")
async def list_countries(response: Response) -> CountriesView:
    """List every country with its states."""
    response.headers["Cache-Control"] = A_DAY
    return CountriesView(items=[CountryView.of(country) for country in countries().values()])


@router.get("/{code}")
async def get_country(
    code: Annotated[str, Path(min_length=2, max_length=2)], response: Response
) -> CountryView:
    """Read one country."""
    country = countries().get(code.upper())
    if country is None:
        raise NotFound
    response.headers["Cache-Control"] = A_DAY
    return CountryView.of(country)
