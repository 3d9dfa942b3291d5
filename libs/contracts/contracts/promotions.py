"""What promotions obeys and says: coupons redeemed and released for orders."""

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
    """Reserve a use of the coupon for the order.

    Answered by PromotionsRedeemed or PromotionsRejected.
    `redeemer` names who uses it for the limit per customer: `customer:<id>`, or `guest:<hash>`.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    customer_id: UUID | None = None
    redeemer: str
    code: str
    discount: Money


class ReleasePromotions(Command):
    """Give the order's coupon use back, even before it was redeemed.

    Answered by PromotionsReleased.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RedemptionEvent(Event):
    """A fact about the coupon use of one order."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "redemption"
    order_id: UUID


class PromotionsRedeemed(RedemptionEvent):
    """The coupon use is reserved for the order."""

    coupon_id: UUID
    code: str
    discount: Money


class PromotionsRejected(RedemptionEvent):
    """The coupon cannot be used for the order."""

    reason: RejectReason


class PromotionsReleased(RedemptionEvent):
    """No coupon use is held for the order, and none will be."""
