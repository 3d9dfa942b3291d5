"""Routes on coupons, for staff, and their evaluation, for the cart service."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, model_validator
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import only_services, require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import NotFound, Refused, refuses
from chassis.ids import new_id, utcnow
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Amount, Body, Day, Id, Note, SafeText, View
from contracts.money import MAX_AMOUNT, Currency, Money
from promotions import store
from promotions.domain import BASIS_POINTS, Coupon, discount_on, normal_code

router = APIRouter(prefix="/v1/admin/coupons")
internal = APIRouter(prefix="/internal/coupons", dependencies=[Depends(only_services("cart"))])
READ = Depends(require_permission("promotions:read"))
WRITE = Depends(require_permission("promotions:write"))

Code = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Positive = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]


class CodeTaken(Refused):
    """Another coupon has this code."""

    code = "coupon_code_taken"


class InUse(Refused):
    """Orders have used the coupon, so it stays; disable it instead."""

    code = "coupon_in_use"


class LimitBelowUses(Refused):
    """The coupon has been used more often than that already."""

    code = "limit_below_uses"


class CouponBody(Body):
    """The terms of a coupon.

    `value` is in basis points (1 to 10000) for a percentage, in minor units of `currency` for
    a fixed discount and left out for free shipping. The window is whole days of the shop, both
    included.
    """

    description: Note = ""
    discount_type: Literal["percentage", "fixed", "free_shipping"]
    value: Positive | None = None
    currency: Currency | None = None
    min_order_amount: Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None = None
    max_uses: Annotated[int, Field(ge=1, le=10**9)] | None = None
    max_uses_per_customer: Annotated[int, Field(ge=1, le=10**9)] | None = None
    starts_at: Day | None = None
    ends_at: Day | None = None
    status: Literal["active", "disabled"] = "active"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.value is None) != (self.discount_type == "free_shipping"):
            raise ValueError("a percentage or fixed discount has a value, free shipping has none")
        if self.discount_type == "percentage" and (self.value or 0) > BASIS_POINTS:
            raise ValueError("a percentage is at most 10000 basis points")
        has_amounts = self.discount_type == "fixed" or self.min_order_amount is not None
        if has_amounts and self.currency is None:
            raise ValueError("amounts need a currency")
        if self.starts_at and self.ends_at and self.ends_at < self.starts_at:
            raise ValueError("the window ends before it starts")
        return self


class NewCouponBody(CouponBody):
    """A new coupon; its code never changes, and its case does not matter."""

    code: Code


class CouponView(View):
    """A coupon; `status` is expired once its last day is over."""

    id: UUID
    code: str
    description: str
    discount_type: str
    value: int | None
    currency: str | None
    min_order_amount: int | None
    max_uses: int | None
    max_uses_per_customer: int | None
    uses_count: int
    starts_at: date | None
    ends_at: date | None
    status: Literal["active", "expired", "disabled"]
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, coupon: Coupon, today: date) -> "CouponView":
        """The view of a coupon on a day."""
        columns = {name: getattr(coupon, name) for name in cls.model_fields if name != "status"}
        return cls(**columns, status=coupon.status_on(today))


class RedemptionView(View):
    """One order's use of a coupon."""

    order_id: UUID
    customer_id: UUID | None
    discount: Money
    state: Literal["reserved", "redeemed", "released"]
    created_at: datetime

    @classmethod
    def of(cls, redemption: Row[Any]) -> "RedemptionView":
        """The view of a redemption's row."""
        return cls.model_validate(
            {
                "order_id": redemption.order_id,
                "customer_id": redemption.customer_id,
                "discount": {
                    "amount": redemption.discount_amount,
                    "currency": redemption.currency,
                },
                "state": redemption.state,
                "created_at": redemption.created_at,
            }
        )


def _state(coupon: Coupon) -> audit.State:
    """What the audit trail shows of a coupon."""
    columns = {name: getattr(coupon, name) for name in NewCouponBody.model_fields}
    return NewCouponBody.model_construct(**columns).model_dump(mode="json")


async def _today(request: Request) -> date:
    today: date = request.app.state.settings.today(utcnow())
    return today


Today = Annotated[date, Depends(_today)]


@router.post("", status_code=201, dependencies=[WRITE])
@refuses(CodeTaken)
async def create_coupon(
    body: NewCouponBody, tx: Tx, today: Today, response: Response
) -> CouponView:
    """Create a coupon."""
    columns = body.model_dump(exclude={"code"})
    coupon = Coupon(id=new_id(), code=normal_code(body.code), version=1, **columns)
    tx.add(coupon)
    with violations_as(uq_coupons_code=CodeTaken):
        await tx.flush()
    await tx.refresh(coupon)
    await audit.record(tx, "coupon.create", coupon.id, "by hand", after=_state(coupon))
    etag.set_header(response, coupon.version)
    return CouponView.of(coupon, today)


@router.get("", dependencies=[READ])
async def list_coupons(
    paging: Paged,
    tx: Tx,
    today: Today,
    status: Annotated[Literal["active", "expired", "disabled"] | None, Query()] = None,
) -> Page[CouponView]:
    """List coupons, the newest first."""
    rows = await store.list_coupons(tx, paging.limit + 1, paging.position(UUID), status, today)
    return paging.page(rows, lambda row: CouponView.of(row, today), lambda row: row.id)


@router.get("/{coupon_id}", dependencies=[READ])
@refuses(NotFound)
async def get_coupon(coupon_id: UUID, tx: Tx, today: Today, response: Response) -> CouponView:
    """Read one coupon."""
    coupon = await store.get_coupon(tx, coupon_id)
    etag.set_header(response, coupon.version)
    return CouponView.of(coupon, today)


@router.put("/{coupon_id}", dependencies=[WRITE])
@refuses(NotFound, LimitBelowUses)
async def change_coupon(
    coupon_id: UUID,
    body: CouponBody,
    expected: etag.IfMatch,
    tx: Tx,
    today: Today,
    response: Response,
) -> CouponView:
    """Change a coupon; uses by earlier orders stay as they were."""
    coupon = await store.lock_coupon(tx, coupon_id)
    etag.check(coupon.version, expected)
    if body.max_uses is not None and body.max_uses < coupon.uses_count:
        raise LimitBelowUses
    before = _state(coupon)
    for column, value in body.model_dump().items():
        setattr(coupon, column, value)
    coupon.touch()
    await tx.flush()
    await tx.refresh(coupon)
    after = _state(coupon)
    await audit.record(tx, "coupon.change", coupon.id, "by hand", before=before, after=after)
    etag.set_header(response, coupon.version)
    return CouponView.of(coupon, today)


@router.delete("/{coupon_id}", status_code=204, dependencies=[WRITE])
@refuses(NotFound, InUse)
async def delete_coupon(coupon_id: UUID, expected: etag.IfMatch, tx: Tx) -> None:
    """Remove a coupon that no order ever used."""
    coupon = await store.lock_coupon(tx, coupon_id)
    etag.check(coupon.version, expected)
    await audit.record(tx, "coupon.delete", coupon.id, "by hand", before=_state(coupon))
    await tx.delete(coupon)
    with violations_as(fk_redemptions_coupon_id=InUse):
        await tx.flush()


@router.get("/{coupon_id}/redemptions", dependencies=[READ])
@refuses(NotFound)
async def list_redemptions(coupon_id: UUID, paging: Paged, tx: Tx) -> Page[RedemptionView]:
    """List a coupon's uses, the newest order first."""
    await store.get_coupon(tx, coupon_id)
    rows = await store.list_redemptions(tx, coupon_id, paging.limit + 1, paging.position(UUID))
    return paging.page(rows, RedemptionView.of, lambda row: row.order_id)


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

    def redeemed_by(self) -> str | None:
        """The redeemer whose uses count; None while the guest is unknown."""
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
    """The cart is worth less than the coupon requires."""

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


def _unusable(reason: str) -> Refused:
    return Refused(SENTENCES[reason], code=f"coupon_{reason}")


@internal.post("/evaluate")
@refuses(*map(_unusable, SENTENCES), CouponUnknown, MinimumNotReached, OtherCurrency)
async def evaluate_coupon(body: EvaluateBody, tx: Tx, today: Today) -> EvaluationView:
    """Compute what a coupon takes off a cart; this reserves no use."""
    coupon = await store.find_coupon(tx, body.code)
    if coupon is None:
        raise CouponUnknown
    subtotal = sum(line.amount for line in body.lines)
    await _ensure_usable(tx, coupon, body, subtotal, today)
    return EvaluationView(
        coupon_id=coupon.id,
        code=coupon.code,
        discount_type=coupon.discount_type,
        discount_amount=discount_on(coupon.discount_type, coupon.value, subtotal),
        free_shipping=coupon.discount_type == "free_shipping",
    )


async def _ensure_usable(
    tx: AsyncSession, coupon: Coupon, body: EvaluateBody, subtotal: int, today: date
) -> None:
    """Refuse a coupon that this cart cannot use now."""
    redeemer = body.redeemed_by()
    uses_by_redeemer = 0
    if redeemer is not None and coupon.max_uses_per_customer is not None:
        uses_by_redeemer = await store.count_uses(tx, coupon.id, redeemer)
    reason = coupon.limits.refusal(
        uses=coupon.uses_count, uses_by_redeemer=uses_by_redeemer, today=today
    )
    if reason is not None:
        raise _unusable(reason)
    if coupon.currency not in (None, body.currency):
        raise OtherCurrency
    if subtotal < (coupon.min_order_amount or 0):
        raise MinimumNotReached


routers = [router, internal]
