"""Events of orders: the life of an order. Checkout starts over HTTP, not by a command."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Event, Kind, Part
from contracts.money import Money

PaymentMethod = Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
CancelReason = Literal[
    "out_of_stock",
    "coupon_rejected",
    "payment_failed",
    "payment_expired",
    "customer_request",
    "staff_request",
    "timed_out",
    "refused_at_door",
]


class OrderedLine(Part):
    """An order line. Amounts are in minor units and cover the whole quantity."""

    line_id: UUID
    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None = None
    sku: str
    quantity: int
    unit_price_amount: int
    discount_amount: int
    tax_amount: int
    total_amount: int


class OrderEvent(Event):
    """An event of one order."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "order"

    order_id: UUID
    order_number: str
    customer_id: UUID | None = None


class OrderPlaced(OrderEvent):
    """A customer placed the order; stock and payment are not confirmed yet."""

    cart_id: UUID
    lines: list[OrderedLine]
    total: Money
    payment_method: PaymentMethod
    placed_at: datetime


class OrderConfirmed(OrderEvent):
    """Stock is reserved, and the payment captured, authorised or due on delivery."""

    cart_id: UUID
    lines: list[OrderedLine]
    total: Money
    payment_method: PaymentMethod
    coupon_code: str | None = None
    confirmed_at: datetime


class OrderCancelled(OrderEvent):
    """The order was cancelled. Published once, after stock, coupon and payment were released.

    `confirmed_at` is set when the order had been confirmed: OrderConfirmed was published earlier,
    even if it is received later.
    """

    cart_id: UUID
    reason: CancelReason
    cancelled_at: datetime
    confirmed_at: datetime | None = None


class CustomerActionRequired(OrderEvent):
    """The customer must confirm the payment before `expires_at`; see payments for the action."""

    payment_id: UUID
    expires_at: datetime


class OrderShipped(OrderEvent):
    """The first parcel of the order was handed over to the carrier."""

    shipped_at: datetime


class OrderDelivered(OrderEvent):
    """Every parcel of the order that was not cancelled has been delivered."""

    delivered_at: datetime


class OrderPaymentChanged(OrderEvent):
    """The payment status of a confirmed order changed."""

    payment_status: Literal[
        "pending", "authorized", "paid", "failed", "partially_refunded", "refunded"
    ]
