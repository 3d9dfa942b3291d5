"""The addresses of a customer."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import Caller, SignedIn
from chassis.db import Tx
from chassis.ids import new_id, utcnow
from chassis.pages import Page, Paged
from chassis.wire import Body, Line, Name, OptionalLine, SafeText, View
from identity import phone
from identity.domain.address import MOST, Address, AddressType, TooManyAddresses
from identity.domain.country import find_country
from identity.store import addresses, customers

router = APIRouter(prefix="/v1/me/addresses")


class AddressBody(Body):
    """A whole address. `country` is an ISO code; `state` a code where the country lists states."""

    type: AddressType
    recipient_name: Line
    line1: Line
    line2: OptionalLine = ""
    city: Name
    state: Annotated[SafeText, Field(max_length=100)] = ""
    postal_code: Annotated[SafeText, Field(max_length=20)] = ""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    phone: Annotated[SafeText, Field(max_length=40)] = ""
    is_default: bool = False

    def checked(self) -> dict[str, Any]:
        """Bring the fields to the form in which they are kept, by the rules of the country."""
        country = find_country(self.country)
        return self.model_dump(exclude={"is_default"}) | {
            "state": country.state(self.state),
            "postal_code": country.checked_postal_code(self.postal_code),
            "phone": phone.in_e164(self.phone, self.country) if self.phone else "",
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


def _shown(response: Response, address: Address) -> AddressView:
    etag.set_header(response, address.version)
    return AddressView.model_validate(address)


async def _make_default(tx: AsyncSession, address: Address) -> None:
    """Make an address the default of its type; the customer is locked."""
    await addresses.drop_default(tx, address.customer_id, address.type, besides=address.id)
    address.is_default = True


@router.get("")
async def list_addresses(
    caller: SignedIn,
    paging: Paged,
    tx: Tx,
    kind: Annotated[AddressType | None, Query(alias="type")] = None,
) -> Page[AddressView]:
    """List your addresses."""
    customer = await customers.get_customer_of(tx, caller.id)
    found = await addresses.list_addresses(
        tx, customer.id, kind=kind, after=paging.position(UUID), limit=paging.limit
    )
    return paging.page(found, AddressView.model_validate, lambda address: address.id)


@router.post("", status_code=201)
async def add_address(
    body: AddressBody, caller: SignedIn, tx: Tx, response: Response
) -> AddressView:
    """Add an address; the first of its type is the default."""
    fields = body.checked()
    customer = await customers.lock_customer_of(tx, caller.id)
    known = await addresses.count_addresses(tx, customer.id)
    if sum(known.values()) >= MOST:
        raise TooManyAddresses
    address = Address(id=new_id(), customer_id=customer.id, **fields)
    if body.is_default or not known.get(body.type):
        await _make_default(tx, address)
    tx.add(address)
    await tx.flush()
    response.headers["Location"] = f"{router.prefix}/{address.id}"
    return _shown(response, address)


@router.get("/{address_id}")
async def get_address(
    address_id: UUID, caller: SignedIn, tx: Tx, response: Response
) -> AddressView:
    """Read one of your addresses."""
    customer = await customers.get_customer_of(tx, caller.id)
    return _shown(response, await addresses.get_address(tx, customer.id, address_id))


@router.put("/{address_id}")
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
    fields = body.checked()
    address = await _lock(tx, caller, address_id)
    etag.check(address.version, expected)
    address.is_default = False
    for name, value in fields.items():
        setattr(address, name, value)
    if body.is_default:
        await tx.flush()
        await _make_default(tx, address)
    address.touch()
    return _shown(response, address)


@router.delete("/{address_id}", status_code=204)
async def delete_address(
    address_id: UUID, expected: etag.IfMatch, caller: SignedIn, tx: Tx
) -> None:
    """Delete one of your addresses; orders keep the copy they were placed with."""
    address = await _lock(tx, caller, address_id)
    etag.check(address.version, expected)
    address.delete(caller.principal, utcnow())


async def _lock(tx: AsyncSession, caller: Caller, address_id: UUID) -> Address:
    """Take the customer and then the address, so that two changes never wait for each other."""
    customer = await customers.lock_customer_of(tx, caller.id)
    return await addresses.lock_address(tx, customer.id, address_id)
