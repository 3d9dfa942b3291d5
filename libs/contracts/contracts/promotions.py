"""Messages of promotions: coupons redeemed and released for orders."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind
from contracts.money import Money

RejectReason = Literal[
    "unknown",
    "disabled",
    "not_started",
    "ended",
    "used_up",
    "used_up_by_customer",
    "expired",
    "released",
]


class RedeemPromotions(Command):
    """Redeem the coupon for the order.

    Answered by PromotionsRedeemed or PromotionsRejected. `redeemer` counts towards the limit per
    customer: `customer:<id>`, or `guest:<hash>`.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    customer_id: UUID | None = None
    redeemer: str
    code: str
    discount: Money


class ReleasePromotions(Command):
    """Release the order's redemption, even before it exists.

    Answered by PromotionsReleased.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RedemptionEvent(Event):
    """An event of one order's redemption."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "redemption"
    order_id: UUID


class PromotionsRedeemed(RedemptionEvent):
    """The coupon was redeemed for the order."""

    coupon_id: UUID
    code: str
    discount: Money


class PromotionsRejected(RedemptionEvent):
    """The coupon was rejected for the order."""

    reason: RejectReason


class PromotionsReleased(RedemptionEvent):
    """The order has no redemption and will get none."""
