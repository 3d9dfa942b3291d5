"""Routes that fill carts: create one, add, change and remove lines, merge a guest's cart."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api.carts import CHANGING, CartRequest, CartRequestDep, Email
from cart.api.presenter import CartView, CreatedCartView
from cart.domain.cart import (
    MAX_LINES,
    MAX_QUANTITY,
    Cart,
    CartConverted,
    CartExpired,
    CartFull,
    CartLocked,
    CurrencyMismatch,
    CustomizationRefused,
    InsufficientStock,
    QuantityLimit,
    VariantUnavailable,
    VariantUnknown,
    Wanted,
)
from cart.domain.pricing import Offer
from cart.store import carts, lifecycle
from chassis.auth import SignedIn
from chassis.errors import Malformed, NotFound, refuses
from chassis.ids import new_id, utcnow
from chassis.tokens import hash_of
from chassis.wire import Body, Id, Name, SafeText
from contracts.money import Currency

router = APIRouter(prefix="/v1/carts")

Inscription = Annotated[SafeText, Field(max_length=1000)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]


# What `Cart.add` refuses.
ADDING: Final = (
    CartFull,
    CurrencyMismatch,
    CustomizationRefused,
    InsufficientStock,
    QuantityLimit,
    VariantUnavailable,
    VariantUnknown,
)


class CartTokenMissing(Malformed):
    """Name the guest cart by its token."""

    code = "cart_token_missing"


class WantedBody(Body):
    """Pieces of a variant, with what the customer writes into its customization fields."""

    variant_id: Id
    quantity: Quantity
    customization: Annotated[dict[Name, Inscription], Field(max_length=20)] | None = None


class QuantityBody(Body):
    """How many pieces the line shall hold."""

    quantity: Quantity


class NewCart(Body):
    """What a new cart may begin with."""

    currency: Currency | None = None
    items: Annotated[list[WantedBody], Field(max_length=MAX_LINES)] = Field(default_factory=list)
    email: Email | None = None


class MergeBody(Body):
    """The guest cart to merge: its token here or as X-Cart-Token, and optionally its id."""

    cart_token: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    cart_id: Id | None = None


@router.post(
    "",
    status_code=201,
    responses={200: {"model": CreatedCartView, "description": "The customer had one already"}},
)
@refuses(*ADDING)
async def create_cart(body: NewCart, request: CartRequestDep) -> CreatedCartView:
    """Create a cart. A customer has one active cart: if there is one, the answer is 200."""
    token = secrets.token_urlsafe(32) if request.caller is None else None
    async with request.transaction() as tx:
        if token is not None:
            currency = body.currency or request.default_currency
            cart = await carts.create_guest_cart(tx, new_id(), hash_of(token), currency, body.email)
        else:
            cart = await _lock_own_cart(tx, body, request)
        if token is None or body.items:
            wanted = [each.variant_id for each in body.items]
            cart.lines, offers = await carts.list_lines(tx, cart.id, utcnow(), wanted)
            await _add_items(tx, cart, body.items, offers)
    view = await request.present(cart)
    return CreatedCartView(**dict(view), cart_token=token)


async def _lock_own_cart(tx: AsyncSession, body: NewCart, request: CartRequest) -> Cart:
    """Lock or create the customer's cart, and store the e-mail given."""
    if request.caller is None:
        raise RuntimeError("a guest has no cart of their own")
    currency = body.currency or request.default_currency
    customer_id = request.caller.customer_id
    cart, is_new = await carts.lock_or_create_current(tx, new_id(), customer_id, currency)
    request.response.status_code = 201 if is_new else 200
    if body.currency not in (None, cart.currency):
        raise CurrencyMismatch
    if body.email is not None:
        cart.email = body.email
        await carts.change_cart(tx, cart.id, {"email": body.email})
    return cart


async def _add_items(
    tx: AsyncSession, cart: Cart, wanted: Sequence[WantedBody], offers: Mapping[UUID, Offer]
) -> None:
    """Add pieces to a cart whose row is locked."""
    now = utcnow()
    changed = [
        cart.add(
            Wanted(each.variant_id, each.quantity, each.customization),
            offers.get(each.variant_id),
            new_id(),
            now,
        )
        for each in wanted
    ]
    if changed:
        await carts.save_lines(tx, cart.id, list({line.id: line for line in changed}.values()))


@router.post("/merge")
@refuses(CartTokenMissing, NotFound, CartConverted, CartExpired, CartLocked, CurrencyMismatch)
async def merge_carts(body: MergeBody, caller: SignedIn, request: CartRequestDep) -> CartView:
    """Merge a guest cart into the customer's own at login; a repeat changes nothing."""
    token = body.cart_token or request.token
    if token is None:
        raise CartTokenMissing
    async with request.transaction() as tx:
        guest = await carts.lock_guest_cart(tx, hash_of(token))
        if guest is None or body.cart_id not in (None, guest.id):
            raise NotFound
        own_id = await _merge(tx, guest, caller.customer_id)
        owner = carts.CartOwner(caller.customer_id, None)
        cart = await carts.get_cart(tx, own_id, owner, utcnow())
    return await request.present(cart)


async def _merge(tx: AsyncSession, guest: Cart, customer_id: UUID) -> UUID:
    """Move the guest cart's lines into the customer's cart; returns the latter's id."""
    own, _ = await carts.lock_or_create_current(tx, new_id(), customer_id, guest.currency)
    if guest.merged_into is None:
        guest.ensure_active()
        if own.currency != guest.currency:
            raise CurrencyMismatch
        await lifecycle.merge(tx, guest.id, own.id)
    elif guest.merged_into != own.id:
        raise CartExpired
    return own.id


@router.post("/{cart_id}/items", status_code=201)
@refuses(*CHANGING, *ADDING)
async def add_item(cart_id: UUID, body: WantedBody, request: CartRequestDep) -> CartView:
    """Add pieces to the cart; an equal line is enlarged."""
    async with request.change(cart_id, [body.variant_id]) as (tx, cart, offers):
        await _add_items(tx, cart, [body], offers)
    return await request.present(cart)


@router.patch("/{cart_id}/items/{item_id}")
@refuses(*CHANGING, CartFull, InsufficientStock, QuantityLimit, VariantUnavailable)
async def change_item(
    cart_id: UUID, item_id: UUID, body: QuantityBody, request: CartRequestDep
) -> CartView:
    """Change how many pieces a line holds; this also accepts a changed price."""
    async with request.change(cart_id) as (tx, cart, _):
        line = cart.line(item_id)
        cart.set_quantity(line, body.quantity)
        await carts.save_lines(tx, cart_id, [line])
    return await request.present(cart)


@router.delete("/{cart_id}/items/{item_id}")
@refuses(*CHANGING)
async def remove_item(cart_id: UUID, item_id: UUID, request: CartRequestDep) -> CartView:
    """Remove a line from the cart."""
    async with request.change(cart_id) as (tx, cart, _):
        cart.lines.remove(cart.line(item_id))
        await carts.delete_line(tx, item_id)
    return await request.present(cart)
