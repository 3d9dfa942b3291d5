"""Routes on carts as a whole: make, read, change, merge, and how they can be shipped."""

import secrets
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import views
from cart.api.items import WantedBody, put_in
from cart.api.visit import Visit, Visiting
from cart.domain.basket import MAX_LINES, Basket, CartExpired, CurrencyMismatch
from cart.domain.checkout import AddressMissing
from cart.domain.questions import rate_question
from cart.store import carts, lines, locks
from chassis.auth import SignedIn
from chassis.errors import Malformed, NotFound
from chassis.ids import new_id, utcnow
from chassis.tokens import hash_of
from chassis.wire import Body, Id
from contracts.money import Currency

router = APIRouter(prefix="/v1/carts")


class NewCart(Body):
    """What a new cart may begin with."""

    currency: Currency | None = None
    items: Annotated[list[WantedBody], Field(max_length=MAX_LINES)] = Field(default_factory=list)
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


@router.post(
    "",
    status_code=201,
    responses={200: {"model": views.CreatedCartView, "description": "It was there already"}},
)
async def create_cart(body: NewCart, visit: Visiting) -> views.CreatedCartView:
    """Make a cart. A customer has one active cart: if it is there, it is answered with 200."""
    token = secrets.token_urlsafe(32) if visit.caller is None else None
    async with visit.transaction() as tx:
        if token is not None:
            basket = await carts.create_guest_cart(
                tx, new_id(), hash_of(token), body.currency or visit.settings.currency, body.email
            )
        else:
            basket = await _own_cart(tx, body, visit)
        if token is None or body.items:
            wanted = [each.variant_id for each in body.items]
            basket.lines, offers = await lines.list_lines(tx, basket.id, utcnow(), wanted)
            await put_in(tx, basket, body.items, offers)
    view = await visit.show(basket)
    return views.CreatedCartView(**dict(view), cart_token=token)


async def _own_cart(tx: AsyncSession, body: NewCart, visit: Visit) -> Basket:
    """Take or make the customer's cart, and keep the e-mail given."""
    if visit.caller is None:
        raise RuntimeError("a guest has no cart of their own")
    currency = body.currency or visit.settings.currency
    customer_id = visit.caller.customer_id
    basket, is_new = await carts.lock_or_create_current(tx, new_id(), customer_id, currency)
    visit.response.status_code = 201 if is_new else 200
    if body.currency not in (None, basket.currency):
        raise CurrencyMismatch
    if body.email is not None:
        basket.email = body.email
        await carts.change_cart(tx, basket.id, {"email": body.email})
    return basket


@router.get("/current")
async def get_current_cart(caller: SignedIn, visit: Visiting) -> views.CartView:
    """Read the active cart of the signed-in customer."""
    async with visit.transaction() as tx:
        basket = await carts.find_current(tx, caller.customer_id, utcnow())
    if basket is None:
        raise NotFound
    return await visit.show(basket)


@router.post("/merge")
async def merge_carts(body: MergeBody, caller: SignedIn, visit: Visiting) -> views.CartView:
    """Merge a guest cart into the customer's own at login; a repeat changes nothing."""
    token = body.cart_token or visit.token
    if token is None:
        raise Malformed("Name the guest cart by its token.", code="cart_token_missing")
    async with visit.transaction() as tx:
        guest = await carts.lock_guest_cart(tx, hash_of(token))
        if guest is None or body.cart_id not in (None, guest.id):
            raise NotFound
        own = await _merge(tx, guest, caller.customer_id)
        basket = await carts.get_cart(tx, own, carts.Holder(caller.customer_id, None), utcnow())
    return await visit.show(basket)


async def _merge(tx: AsyncSession, guest: Basket, customer_id: UUID) -> UUID:
    """Empty the guest's cart into the customer's; gives the latter's id."""
    own, _ = await carts.lock_or_create_current(tx, new_id(), customer_id, guest.currency)
    if guest.merged_into is None:
        guest.must_be_active()
        if own.currency != guest.currency:
            raise CurrencyMismatch
        await locks.merge(tx, guest.id, own.id)
    elif guest.merged_into != own.id:
        raise CartExpired
    return own.id


@router.get("/{cart_id}")
async def get_cart(cart_id: UUID, visit: Visiting) -> views.CartView:
    """Read a cart at today's prices."""
    return await visit.show(await visit.read(cart_id))


@router.patch("/{cart_id}")
async def change_cart(cart_id: UUID, body: CartChange, visit: Visiting) -> views.CartView:
    """Set or empty the e-mail, the addresses and the shipping method."""
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    for address in {"shipping_address", "billing_address"} & values.keys():
        given: views.AddressBody | None = getattr(body, address)
        values[address] = given.model_dump() if given else None
    async with visit.change(cart_id) as (tx, basket, _):
        if values:
            await carts.change_cart(tx, cart_id, values)
        for name, value in values.items():
            setattr(basket, name, value)
    return await visit.show(basket)


@router.get("/{cart_id}/shipping-methods")
async def list_shipping_methods(cart_id: UUID, visit: Visiting) -> views.MethodsView:
    """List how the cart can be shipped to its address; empty where we do not deliver."""
    basket = await visit.read(cart_id)
    question = rate_question(basket)
    if question is None:
        raise AddressMissing
    return views.methods_view(await visit.quotes.rates(question), basket.currency)
