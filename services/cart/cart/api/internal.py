"""Routes for orders alone: lock a cart at its price, and give the lock back."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from cart.api import views
from cart.api.visit import Asked, CartToken, Db, buyer_of, holder_of
from cart.domain import checkout
from cart.domain.basket import CartBusy
from cart.domain.checkout import Purchase
from cart.domain.questions import CouponQuestion, CouponWorth, Method, RateQuestion, coupon_question
from cart.quotes import Quotes
from cart.store import carts, locks
from cart.store.carts import Holder
from chassis.auth import Caller, ServiceCaller, only_services
from chassis.db import Database
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id, MoneyBody
from contracts.money import Money

router = APIRouter(prefix="/internal/carts")

Orders = Annotated[ServiceCaller, Depends(only_services("orders"))]

TURNS = 10


class LockBody(Body):
    """What the order asks for; whatever is absent stays as the cart says."""

    order_id: Id
    expected_total: MoneyBody | None = None
    email: views.Email | None = None
    shipping_address: views.AddressBody | None = None
    billing_address: views.AddressBody | None = None
    shipping_method_id: Id | None = None
    coupon_code: views.CouponCode | None = None

    def purchase(self) -> Purchase:
        """Say the same in the domain's words."""
        ship_to, bill_to, total = self.shipping_address, self.billing_address, self.expected_total
        return Purchase(
            order_id=self.order_id,
            expected_total=Money(amount=total.amount, currency=total.currency) if total else None,
            email=self.email,
            shipping_address=ship_to.model_dump() if ship_to else None,
            billing_address=bill_to.model_dump() if bill_to else None,
            shipping_method_id=self.shipping_method_id,
            coupon_code=self.coupon_code,
        )


class UnlockBody(Body):
    """Whose lock to give back."""

    order_id: Id


@router.post("/{cart_id}/lock")
async def lock_cart(
    cart_id: UUID,
    body: LockBody,
    *,
    orders: Orders,
    database: Db,
    quotes: Asked,
    cart_token: CartToken = None,
) -> dict[str, Any]:
    """Close a cart for an order at its price now; the same order gets the same answer again."""
    caller = orders.on_behalf_of
    locking = Locking(cart_id, holder_of(caller, cart_token), caller, body.purchase(), quotes)
    return await locking.run(database)


@router.post("/{cart_id}/unlock", status_code=204)
async def unlock_cart(cart_id: UUID, body: UnlockBody, orders: Orders, database: Db) -> None:
    """Open the cart again if it is this order that locked it."""
    async with database.transaction() as tx:
        await locks.unlock(tx, {cart_id: body.order_id})


class Locking:
    """One attempt to lock a cart: try in a transaction, ask what was missing outside it, try again.

    Questions carry all that their answer depends on, so a cart that changes meanwhile asks anew.
    """

    def __init__(
        self,
        cart_id: UUID,
        holder: Holder,
        caller: Caller | None,
        purchase: Purchase,
        quotes: Quotes,
    ) -> None:
        self._cart_id = cart_id
        self._holder = holder
        self._caller = caller
        self._purchase = purchase
        self._quotes = quotes
        self._wanted: UUID | None = None
        self._rates: dict[RateQuestion, Sequence[Method]] = {}
        self._coupons: dict[CouponQuestion, CouponWorth] = {}

    async def run(self, database: Database) -> dict[str, Any]:
        """Lock, and tell what was agreed."""
        for _ in range(TURNS):
            async with database.transaction() as tx:
                outcome = await self._attempt(tx)
            if isinstance(outcome, dict):
                return outcome
            if isinstance(outcome, RateQuestion):
                self._rates[outcome] = await self._quotes.rates(outcome, self._wanted)
            elif isinstance(outcome, CouponQuestion):
                self._coupons[outcome] = await self._quotes.coupon(outcome)
        raise CartBusy

    async def _attempt(
        self, tx: AsyncSession
    ) -> dict[str, Any] | RateQuestion | CouponQuestion | None:
        """Lock and answer; or give what must be asked first; or None when the cart just changed."""
        found = await carts.get_cart(tx, self._cart_id, self._holder, utcnow())
        if found.order_id == self._purchase.order_id and found.locked is not None:
            return found.locked
        basket = self._purchase.apply_to(found)
        buyer = buyer_of(basket, self._caller)
        method = self._method(*checkout.must_be_complete(basket, buyer))
        if isinstance(method, RateQuestion):
            return method
        question = coupon_question(basket, buyer, method.price_amount)
        coupon = self._coupons.get(question) if question else None
        if question is not None and coupon is None:
            return question
        costs = checkout.price(basket, method, coupon, await self._quotes.taxes(tx))
        checkout.must_cost(costs.total_amount, basket.currency, self._purchase.expected_total)
        line_ids = [new_id() for _ in basket.lines]
        answer = checkout.frozen(basket, line_ids, buyer, method=method, coupon=coupon, costs=costs)
        is_locked = await locks.lock(tx, basket, self._purchase.order_id, costs, answer)
        return answer if is_locked else None

    def _method(self, question: RateQuestion, method_id: UUID) -> Method | RateQuestion:
        """Find the chosen method, or give what must be asked first."""
        self._wanted = method_id
        methods = self._rates.get(question)
        if methods is None:
            methods = self._quotes.known_rates(question, method_id)
        return question if methods is None else checkout.chosen(methods, method_id)
