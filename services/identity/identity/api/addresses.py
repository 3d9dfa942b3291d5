"""Routes for the addresses of a customer, and the countries they may be in."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import addresses, etag
from chassis.auth import Caller, SignedIn
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import new_id, utcnow
from chassis.pages import Page, Paged
from chassis.wire import SafeText, View
from identity.domain.address import (
    MAX_ADDRESSES,
    Address,
    AddressType,
    BadPhone,
    BadPostalCode,
    Country,
    StateMissing,
    TooManyAddresses,
    UnknownCountry,
    UnknownState,
    countries,
    find_country,
    to_e164,
)
from identity.store import customers

router = APIRouter(prefix="/v1/me/addresses")
countries_router = APIRouter(prefix="/v1/countries")

ONE_DAY = "public, max-age=86400"


class AddressBody(addresses.AddressBody):
    """A whole address. `country` is an ISO code; `state` a code where the country lists states."""

    type: AddressType
    # Any spelling of a number: a refusal of the numbering plan has a code of its own.
    phone: Annotated[SafeText, Field(max_length=40)] = ""
    is_default: bool = False

    def normalized(self) -> dict[str, Any]:
        """The columns of the address, normalised by the rules of its country."""
        country = find_country(self.country)
        return self.model_dump(exclude={"is_default"}) | {
            "state": country.normalize_state(self.state),
            "postal_code": country.normalize_postal_code(self.postal_code),
            "phone": to_e164(self.phone, self.country) if self.phone else "",
        }


class AddressView(View):
    """An address; of each type at most one is the default."""

    id: UUID
    type: str
    recipient_name: str
    line1: str
    line2: str
    city: str
    state: str
    postal_code: str
    country: str
    phone: str
    is_default: bool


def _view_with_etag(response: Response, address: Address) -> AddressView:
    etag.set_header(response, address.version)
    return AddressView.model_validate(address)


async def _make_default(tx: AsyncSession, address: Address) -> None:
    """Make an address the default of its type; the customer must be locked."""
    await customers.clear_default(tx, address.customer_id, address.type, except_id=address.id)
    address.is_default = True


@router.get("")
@refuses(NotFound)
async def list_addresses(
    caller: SignedIn,
    paging: Paged,
    tx: Tx,
    kind: Annotated[AddressType | None, Query(alias="type")] = None,
) -> Page[AddressView]:
    """List your addresses."""
    customer = await customers.get_customer_of_user(tx, caller.id)
    found = await customers.list_addresses(
        tx, customer.id, kind=kind, after=paging.position(UUID), limit=paging.limit
    )
    return paging.page(found, AddressView.model_validate, lambda address: address.id)


@router.post("", status_code=201)
@refuses(
    NotFound, TooManyAddresses, BadPhone, BadPostalCode, StateMissing, UnknownCountry, UnknownState
)
async def add_address(
    body: AddressBody, caller: SignedIn, tx: Tx, response: Response
) -> AddressView:
    """Add an address; the first of its type is the default."""
    fields = body.normalized()
    customer = await customers.lock_customer_of_user(tx, caller.id)
    counts = await customers.count_addresses(tx, customer.id)
    if sum(counts.values()) >= MAX_ADDRESSES:
        raise TooManyAddresses
    address = Address(id=new_id(), customer_id=customer.id, **fields)
    if body.is_default or not counts.get(body.type):
        await _make_default(tx, address)
    tx.add(address)
    await tx.flush()
    response.headers["Location"] = f"{router.prefix}/{address.id}"
    return _view_with_etag(response, address)


@router.get("/{address_id}")
@refuses(NotFound)
async def get_address(
    address_id: UUID, caller: SignedIn, tx: Tx, response: Response
) -> AddressView:
    """Return one of your addresses."""
    customer = await customers.get_customer_of_user(tx, caller.id)
    return _view_with_etag(response, await customers.get_address(tx, customer.id, address_id))


@router.put("/{address_id}")
@refuses(NotFound, BadPhone, BadPostalCode, StateMissing, UnknownCountry, UnknownState)
async def change_address(
    *,
    address_id: UUID,
    body: AddressBody,
    expected: etag.IfMatch,
    caller: SignedIn,
    tx: Tx,
    response: Response,
) -> AddressView:
    """Replace one of your addresses."""
    fields = body.normalized()
    address = await _lock(tx, caller, address_id)
    etag.check(address.version, expected)
    address.is_default = False
    for name, value in fields.items():
        setattr(address, name, value)
    if body.is_default:
        await tx.flush()
        await _make_default(tx, address)
    address.touch()
    return _view_with_etag(response, address)


@router.delete("/{address_id}", status_code=204)
@refuses(NotFound)
async def delete_address(
    address_id: UUID, expected: etag.IfMatch, caller: SignedIn, tx: Tx
) -> None:
    """Delete one of your addresses; orders have their own copy."""
    address = await _lock(tx, caller, address_id)
    etag.check(address.version, expected)
    address.delete(caller.principal, utcnow())


async def _lock(tx: AsyncSession, caller: Caller, address_id: UUID) -> Address:
    """Lock the customer before the address, so that two changes cannot deadlock."""
    customer = await customers.lock_customer_of_user(tx, caller.id)
    return await customers.lock_address(tx, customer.id, address_id)


class StateView(View):
    """A state, province or territory."""

    code: str
    name: str


class CountryView(View):
    """A country; an address in a country with `states` needs one of them."""

    code: str
    name: str
    states: list[StateView]

    @classmethod
    def of(cls, country: Country) -> "CountryView":
        states = [StateView(code=code, name=name) for code, name in country.states.items()]
        return cls(code=country.code, name=country.name, states=states)


class CountriesView(View):
    """Every country of ISO 3166-1, by code."""

    items: list[CountryView]


@countries_router.get("")
async def list_countries(response: Response) -> CountriesView:
    """List every country with its states."""
    response.headers["Cache-Control"] = ONE_DAY
    return CountriesView(items=[CountryView.of(country) for country in countries().values()])


@countries_router.get("/{code}")
@refuses(NotFound)
async def get_country(
    code: Annotated[str, Path(min_length=2, max_length=2)], response: Response
) -> CountryView:
    """Return one country."""
    country = countries().get(code.upper())
    if country is None:
        raise NotFound
    response.headers["Cache-Control"] = ONE_DAY
    return CountryView.of(country)
