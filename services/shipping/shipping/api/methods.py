"""Routes of providers and methods for staff, and rates for the cart and for customers."""

from itertools import pairwise
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import only_services, require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import Invalid, NotFound, Refused, refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Amount, Body, Id, Name, SafeText, Slug, Url, View
from contracts.money import MAX_AMOUNT, Currency
from shipping import store
from shipping.domain.methods import ShippingMethod, ShippingProvider
from shipping.domain.shipments import STATUSES

public = APIRouter(prefix="/v1")
internal = APIRouter(prefix="/internal", dependencies=[Depends(only_services("cart"))])
providers = APIRouter(prefix="/v1/admin/shipping-providers")
methods = APIRouter(prefix="/v1/admin/shipping-methods")
READ = Depends(require_permission("shipping:read"))
WRITE = Depends(require_permission("shipping:write"))

Code = Annotated[Slug, Field(max_length=50)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Email = Annotated[SafeText, Field(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
Grams = Annotated[int, Field(ge=0, le=10**9)]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
State = Annotated[SafeText, Field(max_length=100)]


class CodeTaken(Refused):
    """Another provider has this code."""

    code = "provider_code_taken"


class ProviderBody(Body):
    """What staff can change of a provider."""

    name: Name
    contact_email: Email | None = None
    contact_phone: Phone | None = None
    api_endpoint: Url | None = None
    status: Literal["active", "inactive"] = "active"


class NewProviderBody(ProviderBody):
    """A new provider; its code and adapter never change."""

    code: Code
    adapter: Literal["manual", "sandbox"] = "manual"


class ProviderView(View):
    """A provider as staff see it."""

    id: UUID
    code: str
    name: str
    adapter: str
    contact_email: str | None
    contact_phone: str | None
    api_endpoint: str | None
    status: str
    version: int


@providers.post("", status_code=201, dependencies=[WRITE])
@refuses(CodeTaken)
async def create_provider(body: NewProviderBody, tx: Tx, response: Response) -> ProviderView:
    """Create a provider."""
    provider = ShippingProvider(id=new_id(), version=1, **body.model_dump())
    tx.add(provider)
    with violations_as(uq_shipping_providers_code=CodeTaken):
        await tx.flush()
    audit.name_created(tx, provider.id)
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)


@providers.get("", dependencies=[READ])
async def list_providers(paging: Paged, tx: Tx) -> Page[ProviderView]:
    """List all providers."""
    rows = await store.list_providers(tx, paging.limit + 1, paging.position(UUID))
    return paging.page(rows, ProviderView.model_validate, lambda row: row.id)


@providers.get("/{provider_id}", dependencies=[READ])
@refuses(NotFound)
async def get_provider(provider_id: UUID, tx: Tx, response: Response) -> ProviderView:
    """Return one provider."""
    provider = await store.get_provider(tx, provider_id)
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)


@providers.put("/{provider_id}", dependencies=[WRITE])
@refuses(NotFound)
async def change_provider(
    provider_id: UUID, body: ProviderBody, expected: etag.IfMatch, tx: Tx, response: Response
) -> ProviderView:
    """Change a provider; the methods of an inactive one are not offered."""
    provider = await store.lock_provider(tx, provider_id)
    etag.check(provider.version, expected)
    for field, value in body.model_dump().items():
        setattr(provider, field, value)
    provider.touch()
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)


class NameTaken(Refused):
    """Another shipping method has this name."""

    code = "method_name_taken"


class UnknownProvider(Invalid):
    """There is no such provider."""

    code = "provider_unknown"


class Zone(Body):
    """A country, or those of its states that are listed."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    states: list[Annotated[SafeText, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=100
    )


class Tier(Body):
    """A price up to and including `up_to` (grams or minor units); null has no limit."""

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
    def _check_ambiguity(self) -> Self:
        countries = [zone.country for zone in self.zones]
        if len(set(countries)) < len(countries):
            raise ValueError("each country may be in one zone only")
        ends = [MAX_AMOUNT + 1 if tier.up_to is None else tier.up_to for tier in self.tiers]
        if any(first >= second for first, second in pairwise(ends)):
            raise ValueError("tiers must ascend, one without a limit last")
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


async def _save(tx: AsyncSession, method: ShippingMethod, body: MethodBody) -> None:
    """Store the method and publish its state."""
    try:
        await store.get_provider(tx, body.provider_id)
    except NotFound:
        raise UnknownProvider from None
    for field, value in body.model_dump().items():
        setattr(method, field, value)
    outbox.add(tx, method.record_change())
    tx.add(method)
    with violations_as(uq_shipping_methods_name=NameTaken):
        await tx.flush()


@methods.post("", status_code=201, dependencies=[WRITE])
@refuses(NotFound, NameTaken, UnknownProvider)
async def create_method(body: MethodBody, tx: Tx, response: Response) -> MethodView:
    """Create a shipping method."""
    method = ShippingMethod(id=new_id(), version=1)
    await _save(tx, method, body)
    audit.name_created(tx, method.id)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)


@methods.get("", dependencies=[READ])
async def list_methods(paging: Paged, tx: Tx) -> Page[MethodView]:
    """List all shipping methods, inactive ones too."""
    rows = await store.list_methods(tx, paging.limit + 1, paging.position(UUID))
    return paging.page(rows, MethodView.model_validate, lambda row: row.id)


@methods.get("/{method_id}", dependencies=[READ])
@refuses(NotFound)
async def get_method(method_id: UUID, tx: Tx, response: Response) -> MethodView:
    """Return one shipping method."""
    method = await store.get_method(tx, method_id)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)


@methods.put("/{method_id}", dependencies=[WRITE])
@refuses(NotFound, NameTaken, UnknownProvider)
async def change_method(
    method_id: UUID, body: MethodBody, expected: etag.IfMatch, tx: Tx, response: Response
) -> MethodView:
    """Change or deactivate a shipping method; carts locked for checkout retain their price."""
    method = await store.lock_method(tx, method_id)
    etag.check(method.version, expected)
    method.touch()
    await _save(tx, method, body)
    etag.set_header(response, method.version)
    return MethodView.model_validate(method)


class RatesBody(Body):
    """A destination and a parcel: `subtotal_amount` in minor units, weight in grams."""

    country: Country
    state: State | None = None
    postal_code: Annotated[SafeText, Field(max_length=20)] | None = None
    currency: Currency
    subtotal_amount: Amount = 0
    weight_grams: Grams = 0


class RateView(View):
    """A method and its price in minor units; `provider` is the provider's code."""

    id: UUID
    name: str
    provider: str
    price_amount: int
    currency: str
    estimated_days: int


class RatesView(View):
    """Every method that serves the address, cheapest first; empty when no zone covers it."""

    methods: list[RateView]


class StatusesView(View):
    """Every status of a shipment."""

    items: list[str]


async def quote_rates(tx: AsyncSession, parcel: RatesBody) -> RatesView:
    """The price of every method that serves the address."""
    rates = []
    for method in await store.list_active_methods(tx, parcel.currency):
        if not method.tariff.serves(parcel.country, parcel.state):
            continue
        price = method.tariff.price(parcel.subtotal_amount, parcel.weight_grams)
        if price is not None:
            rate = RateView(
                id=method.id,
                name=method.name,
                provider=method.provider,
                price_amount=price,
                currency=method.currency,
                estimated_days=method.estimated_days,
            )
            rates.append(rate)
    rates.sort(key=lambda rate: (rate.price_amount, rate.estimated_days, rate.name))
    return RatesView(methods=rates)


@internal.post("/rates")
async def rates_for_cart(body: RatesBody, tx: Tx) -> RatesView:
    """Quote the methods that the cart may offer, with the prices to charge."""
    return await quote_rates(tx, body)


@public.get("/shipping-methods")
async def list_shipping_methods(
    request: Request,
    tx: Tx,
    country: Annotated[Country, Query()],
    state: Annotated[State | None, Query()] = None,
    currency: Annotated[Currency | None, Query()] = None,
    subtotal_amount: Annotated[int, Query(ge=0, le=MAX_AMOUNT)] = 0,
    weight_grams: Annotated[Grams, Query()] = 0,
) -> RatesView:
    """List the methods that serve a country and state, with their prices."""
    parcel = RatesBody(
        country=country,
        state=state,
        currency=currency or request.app.state.settings.default_currency,
        subtotal_amount=subtotal_amount,
        weight_grams=weight_grams,
    )
    return await quote_rates(tx, parcel)


@public.get("/reference/shipping-statuses")
async def list_shipping_statuses() -> StatusesView:
    """List every status of a shipment."""
    return StatusesView(items=list(STATUSES))
