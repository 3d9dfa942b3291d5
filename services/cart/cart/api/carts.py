"""Routes on carts as a whole: make, read, change, merge, and how they can be shipped."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import views
from cart.api.access import (
    Asked,
    CartToken,
    Db,
    Expected,
    Held,
    Settings,
    buyer_of,
    hash_of,
)
from cart.api.items import WantedBody, put_in
from cart.domain import checkout
from cart.domain.basket import MAX_LINES, Basket, CartExpired, CurrencyMismatch
from cart.store import carts, lines, locks
from chassis.auth import MaybeCaller, SignedIn
from chassis.errors import Malformed, NotFound
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id
from contracts.money import Currency
from uuid import UUID

router = APIRouter(prefix="/v1/carts", tags=["cart"])


class NewCart(Body):
    """What a new cart may begin with."""

    currency: Currency | None = None
    items: Annotated[list[WantedBody], Field(max_length=MAX_LINES)] = []
    email: views.Email | None = None


class CartChange(Body):
    """The fields to change; null empties one."""

    email: views.Email | None = None
    shipping_address: views.AddressBody | None = None
    billing_address: views.AddressBody | None = None
    shipping_method_id: Id | None = None


class MergeBody(Body):
    """The guest cart to merge: its token here or as X-Cart-Token, and its id if one likes."""

    cart_token: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    cart_id: Id | None = None


@router.post("", status_code=201)
async def create_cart(
    body: NewCart,
    response: Response,
    caller: MaybeCaller,
    database: Db,
    quotes: Asked,
    settings: Settings,
) -> views.CreatedCartView:
    """Make a cart; a signed-in customer has one active cart, which is answered with 200 if there is."""
    now = utcnow()
    token = None
    async with database.transaction() as tx:
        if caller is None:
            token = secrets.token_urlsafe(32)
            basket = await carts.create_guest_cart(
                tx, new_id(), hash_of(token), body.currency or settings.currency, body.email
            )
        else:
            basket, is_new = await carts.lock_or_create_current(
                tx, new_id(), caller.customer_id, body.currency or settings.currency
            )
            response.status_code = 201 if is_new else 200
            if body.currency not in (None, basket.currency):
                raise CurrencyMismatch
            if body.email is not None:
                basket.email = body.email
                await carts.change_cart(tx, basket.id, {"email": body.email})
        if body.items or token is None:
            await put_in(tx, basket, body.items, now)
        taxes = await quotes.taxes(tx)
    view = await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)
    return views.CreatedCartView(**dict(view), cart_token=token)


@router.get("/current")
async def read_current_cart(
    response: Response, caller: SignedIn, database: Db, quotes: Asked
) -> views.CartView:
    """The active cart of the signed-in customer."""
    async with database.transaction() as tx:
        basket = await carts.find_current(tx, caller.customer_id, utcnow())
        taxes = await quotes.taxes(tx)
    if basket is None:
        raise NotFound
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


@router.post("/merge")
async def merge_carts(
    body: MergeBody,
    response: Response,
    caller: SignedIn,
    database: Db,
    quotes: Asked,
    cart_token: CartToken = None,
) -> views.CartView:
    """Merge a guest cart into the customer's own at login; a repeat changes nothing."""
    token = body.cart_token or cart_token
    if token is None:
        raise Malformed("Name the guest cart by its token.", code="cart_token_missing")
    now = utcnow()
    async with database.transaction() as tx:
        guest = await carts.find_guest_cart_for_update(tx, hash_of(token))
        if guest is None or body.cart_id not in (None, guest.id):
            raise NotFound
        basket = await _merge(tx, guest, caller.customer_id)
        basket = await carts.get_cart(tx, basket.id, carts.Holder(caller.customer_id, None), now)
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


async def _merge(tx: AsyncSession, guest: Basket, customer_id: UUID) -> Basket:
    """Empty the guest's cart into the customer's; gives the latter, as far as it was locked."""
    own, _ = await carts.lock_or_create_current(tx, new_id(), customer_id, guest.currency)
    if guest.merged_into is None:
        guest.must_be_active()
        if own.currency != guest.currency:
            raise CurrencyMismatch
        await locks.merge(tx, guest.id, own.id)
    elif guest.merged_into != own.id:
        raise CartExpired
    return own


@router.get("/{cart_id}")
async def read_cart(
    cart_id: UUID,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """A cart at today's prices."""
    async with database.transaction() as tx:
        basket = await carts.get_cart(tx, cart_id, holder, utcnow())
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


@router.patch("/{cart_id}")
async def change_cart(
    cart_id: UUID,
    body: CartChange,
    response: Response,
    caller: MaybeCaller,
    holder: Held,
    expected: Expected,
    database: Db,
    quotes: Asked,
) -> views.CartView:
    """Set or empty the e-mail, the addresses and the shipping method."""
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    async with database.transaction() as tx:
        basket = await carts.lock_cart(tx, cart_id, holder, expected)
        if values:
            await carts.change_cart(tx, cart_id, values)
        for name, value in values.items():
            setattr(basket, name, value)
        basket.lines, _ = await lines.list_lines(tx, cart_id, utcnow())
        taxes = await quotes.taxes(tx)
    return await views.show(response, basket, buyer_of(basket, caller), quotes, taxes)


@router.get("/{cart_id}/shipping-methods")
async def list_shipping_methods(
    cart_id: UUID, holder: Held, database: Db, quotes: Asked
) -> views.MethodsView:
    """How the cart can be shipped to its address, and for how much; empty where we do not deliver."""
    async with database.transaction() as tx:
        basket = await carts.get_cart(tx, cart_id, holder, utcnow())
    question = checkout.rate_question(basket)
    if question is None:
        raise checkout.AddressMissing
    return views.methods_view(await quotes.rates(question), basket.currency)
