"""Shipping methods with their zones and prices, kept by staff."""

from itertools import pairwise
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import Invalid, NotFound, Refused
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Amount, Body, Id, Name, SafeText, View
from contracts.money import MAX_AMOUNT, Currency
from shipping.domain import ShippingMethod
from shipping.store import methods as store

router = APIRouter(prefix="/v1/admin/shipping-methods")
READ = Depends(require_permission("shipping:read"))
WRITE = Depends(require_permission("shipping:write"))


class NameTaken(Refused):
    """Another shipping method has this name."""

    code = "method_name_taken"


class UnknownProvider(Invalid):
    """There is no such provider."""

    code = "provider_unknown"


class Zone(Body):
    """A country, or some of its states when any are named."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    states: list[Annotated[SafeText, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=100
    )


class Tier(Body):
    """A price up to and with a measure (grams or minor units); `up_to` null has no end."""

    up_to: Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None = None
    price_amount: Amount


class MethodBody(Body):
    """A whole shipping method; amounts in minor units of its currency."""

    provider_id: Id
    name: Name
    zones: list[Zone] = Field(min_length=1, max_length=250)
    priced_by: Literal["weight", "value"] = "value"
    tiers: list[Tier] = Field(min_length=1, max_length=50)
    currency: Currency
    free_over_amount: Amount | None = None
    estimated_days: Annotated[int, Field(ge=0, le=365)]
    is_active: bool = True

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        countries = [zone.country for zone in self.zones]
        if len(set(countries)) < len(countries):
            raise ValueError("each country may stand in one zone only")
        ends = [MAX_AMOUNT + 1 if tier.up_to is None else tier.up_to for tier in self.tiers]
        if any(first >= second for first, second in pairwise(ends)):
            raise ValueError("tiers must ascend, an endless one last")
        return self


class MethodView(View):
    """A shipping method as staff see it."""

    id: UUID
    provider_id: UUID
    name: str
    zones: list[Zone]
    priced_by: str
    tiers: list[Tier]
    currency: str
    free_over_amount: int | None
    estimated_days: int
    is_active: bool
    version: int


async def _keep(tx: AsyncSession, method: ShippingMethod, body: MethodBody) -> None:
    """Write what staff said, and announce it."""
    try:
        await store.get_provider(tx, body.provider_id)
    except NotFound:
        raise UnknownProvider from None
    for field, value in body.model_dump().items():
        setattr(method, field, value)
    outbox.add(tx, method.announce())
    tx.add(method)
    with violations_as(uq_shipping_methods_name=NameTaken):
        await tx.flush()


@router.post("", status_code=201, dependencies=[WRITE])
async def create_method(body: MethodBody, tx: Tx, response: Response) -> MethodView:
    """Offer a new way of sending parcels."""
    method = ShippingMethod(id=new_id(), version=1)
    await _keep(tx, method, body)
    audit.name_created(tx, method.id)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)


@router.get("", dependencies=[READ])
async def list_methods(paging: Paged, tx: Tx) -> Page[MethodView]:
    """All shipping methods, retired ones too."""
    rows = await store.list_methods(tx, paging.limit + 1, paging.position(UUID))
    return paging.page(rows, MethodView.model_validate, lambda row: row.id)


@router.get("/{method_id}", dependencies=[READ])
async def get_method(method_id: UUID, tx: Tx, response: Response) -> MethodView:
    """One shipping method."""
    method = await store.get_method(tx, method_id)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)


@router.put("/{method_id}", dependencies=[WRITE])
async def change_method(
    method_id: UUID, body: MethodBody, expected: etag.IfMatch, tx: Tx, response: Response
) -> MethodView:
    """Change or retire a shipping method; carts at checkout already keep the old price."""
    method = await store.lock_method(tx, method_id)
    etag.check(method.version, expected)
    method.touch()
    await _keep(tx, method, body)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)
