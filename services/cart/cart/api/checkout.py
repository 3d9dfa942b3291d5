"""Routes for orders alone: lock a cart at its price, and unlock it."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api.carts import (
    CartToken,
    CouponCode,
    DatabaseDep,
    Email,
    QuotesDep,
    TaxTablesDep,
    buyer_of,
    owner_of,
)
from cart.clients import COUPON_REFUSALS, PricingUnavailable, Quotes
from cart.domain import checkout
from cart.domain.cart import (
    CartBusy,
    CartConverted,
    CartEmpty,
    CartExpired,
    CartFull,
    CartLocked,
    CurrencyMismatch,
    InsufficientStock,
    LineUnavailable,
)
from cart.domain.checkout import (
    AddressMissing,
    CouponQuote,
    CouponRequest,
    EmailMissing,
    NoShippingZone,
    Purchase,
    RateRequest,
    ShippingMethod,
    ShippingMethodMissing,
    ShippingMethodUnavailable,
    TotalChanged,
    coupon_request,
)
from cart.store import carts, lifecycle
from cart.store.carts import CartOwner
from cart.store.tax_rates import TaxTableCache
from chassis.addresses import AddressBody
from chassis.auth import Caller, ServiceCaller, only_services
from chassis.db import Database
from chassis.errors import NotFound, Unauthenticated, refuses
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id, MoneyBody
from contracts.cart import LockedCart

router = APIRouter(prefix="/internal/carts")

Orders = Annotated[ServiceCaller, Depends(only_services("orders"))]

ATTEMPTS = 10


class LockBody(Body):
    """What the order requests; an absent field leaves the cart's own value."""

    order_id: Id
    expected_total: MoneyBody | None = None
    email: Email | None = None
    shipping_address: AddressBody | None = None
    billing_address: AddressBody | None = None
    shipping_method_id: Id | None = None
    coupon_code: CouponCode | None = None

    def to_purchase(self) -> Purchase:
        """The same for the domain."""
        ship_to, bill_to, total = self.shipping_address, self.billing_address, self.expected_total
        return Purchase(
            order_id=self.order_id,
            expected_total=total.to_money() if total else None,
            email=self.email,
            shipping_address=ship_to.to_address() if ship_to else None,
            billing_address=bill_to.to_address() if bill_to else None,
            shipping_method_id=self.shipping_method_id,
            coupon_code=self.coupon_code,
        )


class UnlockBody(Body):
    """The order whose lock ends."""

    order_id: Id


@router.post("/{cart_id}/lock")
@refuses(
    *COUPON_REFUSALS,
    Unauthenticated,
    NotFound,
    AddressMissing,
    CartBusy,
    CartConverted,
    CartEmpty,
    CartExpired,
    CartFull,
    CartLocked,
    CurrencyMismatch,
    EmailMissing,
    InsufficientStock,
    LineUnavailable,
    NoShippingZone,
    PricingUnavailable,
    ShippingMethodMissing,
    ShippingMethodUnavailable,
    TotalChanged,
)
async def lock_cart(
    cart_id: UUID,
    body: LockBody,
    *,
    orders: Orders,
    database: DatabaseDep,
    quotes: QuotesDep,
    tax_tables: TaxTablesDep,
    cart_token: CartToken = None,
) -> LockedCart:
    """Lock a cart for an order at its price now; the same order gets the same answer again."""
    caller = orders.on_behalf_of
    owner = owner_of(caller, cart_token)
    lock = CartLock(cart_id, owner, caller, body.to_purchase(), quotes, tax_tables)
    return await lock.acquire(database)


@router.post("/{cart_id}/unlock", status_code=204)
@refuses(CartBusy)
async def unlock_cart(
    cart_id: UUID, body: UnlockBody, orders: Orders, database: DatabaseDep
) -> None:
    """Open the cart again if it is this order that locked it."""
    async with database.transaction() as tx:
        await lifecycle.unlock(tx, {cart_id: body.order_id})


class CartLock:
    """Locks a cart: try in a transaction, request a missing quote outside it, try again.

    Requests carry all that their answer depends on, so a cart that changes meanwhile needs another.
    """

    def __init__(
        self,
        cart_id: UUID,
        owner: CartOwner,
        caller: Caller | None,
        purchase: Purchase,
        quotes: Quotes,
        tax_tables: TaxTableCache,
    ) -> None:
        self._cart_id = cart_id
        self._owner = owner
        self._caller = caller
        self._purchase = purchase
        self._quotes = quotes
        self._tax_tables = tax_tables
        self._method_id: UUID | None = None
        self._rates: dict[RateRequest, Sequence[ShippingMethod]] = {}
        self._coupons: dict[CouponRequest, CouponQuote] = {}

    async def acquire(self, database: Database) -> LockedCart:
        """Lock the cart; raises CartBusy for one that changes at each attempt."""
        for _ in range(ATTEMPTS):
            async with database.transaction() as tx:
                outcome = await self._attempt(tx)
            match outcome:
                case LockedCart():
                    return outcome
                case RateRequest():
                    self._rates[outcome] = await self._quotes.rates(outcome, self._method_id)
                case CouponRequest():
                    self._coupons[outcome] = await self._quotes.coupon(outcome)
                case None:
                    pass
        raise CartBusy

    async def _attempt(self, tx: AsyncSession) -> LockedCart | RateRequest | CouponRequest | None:
        """Lock the cart; or return the quote to request first, or None when it just changed."""
        found = await carts.get_cart(tx, self._cart_id, self._owner, utcnow())
        if found.order_id == self._purchase.order_id and found.locked is not None:
            return found.locked
        cart = self._purchase.apply_to(found)
        buyer = buyer_of(cart, self._caller)
        method = self._method(*checkout.ensure_complete(cart, buyer))
        if isinstance(method, RateRequest):
            return method
        wanted = coupon_request(cart, buyer, method.price_amount)
        coupon = self._coupons.get(wanted) if wanted else None
        if wanted is not None and coupon is None:
            return wanted
        costs = checkout.price_cart(cart, method, coupon, await self._tax_tables.get(tx))
        checkout.ensure_total(costs.total_amount, cart.currency, self._purchase.expected_total)
        snapshot = checkout.lock_snapshot(
            cart,
            [new_id() for _ in cart.lines],
            buyer,
            method=method,
            coupon=coupon,
            costs=costs,
        )
        order_id = self._purchase.order_id
        is_locked = await carts.lock_for_order(tx, cart, order_id, costs, snapshot)
        return snapshot if is_locked else None

    def _method(self, request: RateRequest, method_id: UUID) -> ShippingMethod | RateRequest:
        """The chosen method, or the rates to request first."""
        self._method_id = method_id
        methods = self._rates.get(request)
        if methods is None:
            methods = self._quotes.cached_rates(request, method_id)
        return request if methods is None else checkout.choose_method(methods, method_id)
