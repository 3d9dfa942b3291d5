"""What a coupon takes off a cart, told before it is ordered."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import only_services
from chassis.db import Tx
from chassis.errors import NotFound, Refused
from chassis.ids import utcnow
from chassis.openapi import refuses
from chassis.wire import Amount, Body, Id, SafeText, View
from contracts.money import Currency
from promotions.domain import Coupon, off
from promotions.store import coupons as store
from promotions.store.redemptions import count_uses

internal = APIRouter(prefix="/internal/coupons", dependencies=[Depends(only_services("cart"))])


class LineBody(Body):
    """A line of the cart; `amount` is what all its pieces cost, in minor units."""

    variant_id: Id
    product_id: Id
    category_ids: list[Id] = Field(default_factory=list, max_length=20)
    amount: Amount


class EvaluateBody(Body):
    """A cart and the code its customer entered."""

    code: Annotated[SafeText, Field(max_length=100)]
    currency: Currency
    customer_id: Id | None = None
    redeemer: Annotated[SafeText, Field(min_length=1, max_length=100)] | None = None
    lines: list[LineBody] = Field(max_length=1000)
    shipping_amount: Amount = 0

    def uses_as(self) -> str | None:
        """Name who would use the coupon, if it is known already."""
        if self.redeemer is None and self.customer_id is not None:
            return f"customer:{self.customer_id}"
        return self.redeemer


class EvaluationView(View):
    """What the coupon takes off the lines, in minor units, and whether shipping is free."""

    coupon_id: UUID
    code: str
    discount_type: str
    discount_amount: int
    free_shipping: bool


class CouponUnknown(NotFound):
    """There is no coupon with this code."""

    code = "coupon_unknown"


class MinimumNotReached(Refused):
    """The cart is worth less than the coupon asks for."""

    code = "coupon_minimum_not_reached"


class OtherCurrency(Refused):
    """The coupon is for another currency."""

    code = "currency_mismatch"


SENTENCES = {
    "disabled": "The coupon is not in use.",
    "not_started": "The coupon cannot be used yet.",
    "ended": "The coupon can no longer be used.",
    "used_up": "The coupon has been used as often as it can be.",
    "used_up_by_customer": "You have used the coupon as often as you may.",
}


@internal.post("/evaluate")
async def evaluate_coupon(body: EvaluateBody, tx: Tx, request: Request) -> EvaluationView:
    """Tell the cart what a coupon takes off; nothing is held by asking."""
    coupon = await store.find_coupon(tx, body.code)
    if coupon is None:
        raise CouponUnknown
    subtotal = sum(line.amount for line in body.lines)
    today = request.app.state.settings.today(utcnow())
    await _check(tx, coupon, body, subtotal, today)
    return EvaluationView(
        coupon_id=coupon.id,
        code=coupon.code,
        discount_type=coupon.discount_type,
        discount_amount=off(coupon.discount_type, coupon.value, subtotal),
        free_shipping=coupon.discount_type == "free_shipping",
    )


@refuses(409, *(f"coupon_{reason}" for reason in SENTENCES))
async def _check(
    tx: AsyncSession, coupon: Coupon, body: EvaluateBody, subtotal: int, today: date
) -> None:
    """Refuse a coupon that this cart cannot use now."""
    redeemer = body.uses_as()
    uses_by_redeemer = 0
    if redeemer is not None and coupon.max_uses_per_customer is not None:
        uses_by_redeemer = await count_uses(tx, coupon.id, redeemer)
    reason = coupon.limits.refusal(
        uses=coupon.uses_count, uses_by_redeemer=uses_by_redeemer, today=today
    )
    if reason is not None:
        raise Refused(SENTENCES[reason], code=f"coupon_{reason}")
    if coupon.currency not in (None, body.currency):
        raise OtherCurrency
    if subtotal < (coupon.min_order_amount or 0):
        raise MinimumNotReached
