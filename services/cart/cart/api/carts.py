"""Routes on one cart: read and change it, its coupon and its shipping methods."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import presenter
from cart.clients import COUPON_REFUSALS, PricingUnavailable, Quotes
from cart.domain.cart import Cart, CartConverted, CartEmpty, CartExpired, CartLocked
from cart.domain.checkout import AddressMissing, Buyer, coupon_request, rate_request
from cart.domain.pricing import Offer, TaxTable
from cart.store import carts
from cart.store.carts import CartOwner
from cart.store.tax_rates import TaxTableCache
from chassis import etag
from chassis.addresses import AddressBody
from chassis.auth import Caller, MaybeCaller, SignedIn
from chassis.db import Database
from chassis.errors import Changed, NotFound, Unauthenticated, refuses
from chassis.ids import utcnow
from chassis.tokens import hash_of
from chassis.wire import Body, Id, SafeText

router = APIRouter(prefix="/v1/carts")

CartToken = Annotated[
    str | None,
    Header(
        alias="X-Cart-Token",
        max_length=200,
        description="`cart_token` of the guest's cart, as its creation returned it",
    ),
]
Email = Annotated[
    SafeText, Field(min_length=3, max_length=255, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]
CouponCode = Annotated[SafeText, Field(min_length=1, max_length=50)]


# What `CartRequest.change` refuses.
CHANGING: Final = (NotFound, Changed, CartConverted, CartExpired, CartLocked)


class CartChange(Body):
    """The fields to change; null empties one."""

    email: Email | None = None
    shipping_address: AddressBody | None = None
    billing_address: AddressBody | None = None
    shipping_method_id: Id | None = None


class CouponBody(Body):
    """A coupon's code; upper and lower case are the same."""

    code: CouponCode


def owner_of(caller: Caller | None, token: str | None) -> CartOwner:
    """By what right a request reaches a cart; refused without any."""
    if caller is None and token is None:
        raise Unauthenticated("Sign in, or send the guest cart's token as X-Cart-Token.")
    return CartOwner(
        customer_id=caller.customer_id if caller else None,
        token_hash=hash_of(token) if token else None,
    )


def buyer_of(cart: Cart, caller: Caller | None) -> Buyer:
    """Who would buy a cart: the signed-in caller, else the guest of the cart's e-mail."""
    if caller is not None:
        return Buyer(caller.customer_id, cart.email or caller.email)
    return Buyer(cart.customer_id, cart.email)


@dataclass
class CartRequest:
    """A client's request on a cart.

    `expected` is the version that the change is based on, if the client named one. `taxes` is the
    tax table as it was read in the request's last transaction.
    """

    caller: Caller | None
    token: str | None = field(repr=False)
    expected: int | None
    default_currency: str
    database: Database
    quotes: Quotes
    tax_tables: TaxTableCache
    response: Response
    taxes: TaxTable | None = None

    @property
    def owner(self) -> CartOwner:
        """By what right the client reaches a cart."""
        return owner_of(self.caller, self.token)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction, and read the tax table at its end."""
        async with self.database.transaction() as tx:
            yield tx
            self.taxes = await self.tax_tables.get(tx)

    async def read(self, cart_id: UUID) -> Cart:
        """Read the client's cart."""
        async with self.transaction() as tx:
            return await carts.get_cart(tx, cart_id, self.owner, utcnow())

    @asynccontextmanager
    async def change(
        self, cart_id: UUID, wanted: Sequence[UUID] = ()
    ) -> AsyncIterator[tuple[AsyncSession, Cart, dict[UUID, Offer]]]:
        """Lock the client's open cart until commit; with it come the offers of wanted variants."""
        async with self.transaction() as tx:
            cart = await carts.lock_cart(tx, cart_id, self.owner, self.expected)
            cart.lines, offers = await carts.list_lines(tx, cart_id, utcnow(), wanted)
            yield tx, cart, offers

    async def present(self, cart: Cart) -> presenter.CartView:
        """The answer: the cart at today's price. Calls peers, so no transaction may be open."""
        if self.taxes is None:
            raise RuntimeError("a cart is presented after it was read")
        etag.set_header(self.response, cart.version)
        return await presenter.present(cart, buyer_of(cart, self.caller), self.quotes, self.taxes)


@refuses(Unauthenticated)
async def _cart_request(
    request: Request,
    response: Response,
    caller: MaybeCaller,
    expected: etag.OptionalIfMatch,
    token: CartToken = None,
) -> CartRequest:
    state = request.app.state
    return CartRequest(
        caller=caller,
        token=token,
        expected=expected,
        default_currency=state.settings.currency,
        database=state.database,
        quotes=state.resources.quotes,
        tax_tables=state.resources.tax_tables,
        response=response,
    )


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _quotes(request: Request) -> Quotes:
    quotes: Quotes = request.app.state.resources.quotes
    return quotes


async def _tax_tables(request: Request) -> TaxTableCache:
    tax_tables: TaxTableCache = request.app.state.resources.tax_tables
    return tax_tables


CartRequestDep = Annotated[CartRequest, Depends(_cart_request)]
DatabaseDep = Annotated[Database, Depends(_database)]
QuotesDep = Annotated[Quotes, Depends(_quotes)]
TaxTablesDep = Annotated[TaxTableCache, Depends(_tax_tables)]


@router.get("/current")
@refuses(NotFound)
async def get_current_cart(caller: SignedIn, request: CartRequestDep) -> presenter.CartView:
    """Read the active cart of the signed-in customer."""
    async with request.transaction() as tx:
        cart = await carts.find_current(tx, caller.customer_id, utcnow())
    if cart is None:
        raise NotFound
    return await request.present(cart)


@router.get("/{cart_id}")
@refuses(NotFound)
async def get_cart(cart_id: UUID, request: CartRequestDep) -> presenter.CartView:
    """Read a cart at today's prices."""
    return await request.present(await request.read(cart_id))


@router.patch("/{cart_id}")
@refuses(*CHANGING)
async def change_cart(
    cart_id: UUID, body: CartChange, request: CartRequestDep
) -> presenter.CartView:
    """Set or empty the e-mail, the addresses and the shipping method."""
    values: dict[str, Any] = body.model_dump(exclude_unset=True)
    for address in {"shipping_address", "billing_address"} & values.keys():
        given: AddressBody | None = getattr(body, address)
        values[address] = given.to_address() if given else None
    async with request.change(cart_id) as (tx, cart, _):
        if values:
            await carts.change_cart(tx, cart_id, values)
        for name, value in values.items():
            setattr(cart, name, value)
    return await request.present(cart)


@router.get("/{cart_id}/shipping-methods")
@refuses(NotFound, AddressMissing, PricingUnavailable)
async def list_shipping_methods(cart_id: UUID, request: CartRequestDep) -> presenter.MethodsView:
    """List how the cart can be shipped to its address; empty where we do not deliver."""
    cart = await request.read(cart_id)
    wanted = rate_request(cart)
    if wanted is None:
        raise AddressMissing
    return presenter.methods_view(await request.quotes.rates(wanted), cart.currency)


@router.put("/{cart_id}/coupon")
@refuses(*CHANGING, *COUPON_REFUSALS, CartEmpty, PricingUnavailable)
async def set_coupon(
    cart_id: UUID, body: CouponBody, request: CartRequestDep
) -> presenter.CartView:
    """Use a coupon, once promotions accepts it for this cart as it is."""
    cart = await request.read(cart_id)
    cart.ensure_active()
    if not cart.lines:
        raise CartEmpty
    tried = replace(cart, coupon_code=body.code)
    await _ensure_accepted(tried, buyer_of(tried, request.caller), request.quotes)
    async with request.change(cart_id) as (tx, cart, _):
        await carts.change_cart(tx, cart_id, {"coupon_code": body.code})
        cart.coupon_code = body.code
    return await request.present(cart)


async def _ensure_accepted(cart: Cart, buyer: Buyer, quotes: Quotes) -> None:
    """Refuse the coupon as promotions does."""
    known = presenter.CartQuotes()
    await known.find_method(cart, quotes)
    wanted = coupon_request(cart, buyer, known.shipping_amount)
    if wanted is not None:
        await quotes.coupon(wanted)


@router.delete("/{cart_id}/coupon")
@refuses(*CHANGING)
async def remove_coupon(cart_id: UUID, request: CartRequestDep) -> presenter.CartView:
    """Remove the coupon."""
    async with request.change(cart_id) as (tx, cart, _):
        await carts.change_cart(tx, cart_id, {"coupon_code": None})
        cart.coupon_code = None
    return await request.present(cart)
