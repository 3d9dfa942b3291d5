"""Rates: which methods reach an address, and at what price."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from chassis.auth import only_services
from chassis.db import Tx
from chassis.wire import Amount, Body, SafeText, View
from contracts.money import MAX_AMOUNT, Currency
from shipping.domain.shipment import STATUSES
from shipping.store import methods as store

router = APIRouter(prefix="/v1")
internal = APIRouter(prefix="/internal", dependencies=[Depends(only_services("cart"))])

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
State = Annotated[SafeText, Field(max_length=100)]
Grams = Annotated[int, Field(ge=0, le=10**9)]


class RatesBody(Body):
    """Where to, and what: `subtotal_amount` in minor units, weight in grams."""

    country: Country
    state: State | None = None
    postal_code: Annotated[SafeText, Field(max_length=20)] | None = None
    currency: Currency
    subtotal_amount: Amount = 0
    weight_grams: Grams = 0


class RateView(View):
    """One method and its price there, in minor units; `provider` is the provider's code."""

    id: UUID
    name: str
    provider: str
    price_amount: int
    currency: str
    estimated_days: int


class RatesView(View):
    """Every method that reaches the address, the cheapest first; none when no zone covers it."""

    methods: list[RateView]


class StatusesView(View):
    """Every status a parcel can have."""

    items: list[str]


async def rates(tx: Tx, wanted: RatesBody) -> RatesView:
    """Price every method that reaches the address."""
    found = []
    for offer in await store.list_offers(tx, wanted.currency):
        if offer.tariff.serves(wanted.country, wanted.state):
            price = offer.tariff.price(wanted.subtotal_amount, wanted.weight_grams)
            if price is not None:
                found.append(
                    RateView(
                        id=offer.id,
                        name=offer.name,
                        provider=offer.provider,
                        price_amount=price,
                        currency=offer.currency,
                        estimated_days=offer.estimated_days,
                    )
                )
    found.sort(key=lambda rate: (rate.price_amount, rate.estimated_days, rate.name))
    return RatesView(methods=found)


@internal.post("/rates")
async def rates_for_cart(body: RatesBody, tx: Tx) -> RatesView:
    """Tell the cart what it may offer and must charge."""
    return await rates(tx, body)


@router.get("/shipping-methods")
async def list_shipping_methods(
    request: Request,
    tx: Tx,
    country: Annotated[Country, Query()],
    state: Annotated[State | None, Query()] = None,
    currency: Annotated[Currency | None, Query()] = None,
    subtotal_amount: Annotated[int, Query(ge=0, le=MAX_AMOUNT)] = 0,
    weight_grams: Annotated[Grams, Query()] = 0,
) -> RatesView:
    """List the ways of sending something to a country and state, with their prices."""
    wanted = RatesBody(
        country=country,
        state=state,
        currency=currency or request.app.state.settings.default_currency,
        subtotal_amount=subtotal_amount,
        weight_grams=weight_grams,
    )
    return await rates(tx, wanted)


@router.get("/reference/shipping-statuses")
async def list_shipping_statuses() -> StatusesView:
    """Every status a parcel can have."""
    return StatusesView(items=list(STATUSES))
