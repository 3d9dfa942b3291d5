"""What orders says: the life of an order. It obeys no commands; checkout begins over HTTP."""

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
    """One line as it was sold: whole pieces, and amounts in minor units for all of them."""

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
    """A fact about one order."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "order"

    order_id: UUID
    order_number: str
    customer_id: UUID | None = None


class OrderPlaced(OrderEvent):
    """A customer asked to buy; nothing is promised yet."""

    cart_id: UUID
    lines: list[OrderedLine]
    total: Money
    payment_method: PaymentMethod
    placed_at: datetime


class OrderConfirmed(OrderEvent):
    """Stock is held, the money taken, promised or due at the door: it will be fulfilled."""

    cart_id: UUID
    lines: list[OrderedLine]
    total: Money
    payment_method: PaymentMethod
    coupon_code: str | None = None
    confirmed_at: datetime


class OrderCancelled(OrderEvent):
    """The order ended without a sale; said once ever, after everything held was given back.

    `confirmed_at` is set when the order had been confirmed before: OrderConfirmed came earlier,
    even where it is received later.
    """

    cart_id: UUID
    reason: CancelReason
    cancelled_at: datetime
    confirmed_at: datetime | None = None


class CustomerActionRequired(OrderEvent):
    """The customer must confirm the payment before `expires_at`; ask payments what to do."""

    payment_id: UUID
    expires_at: datetime


class OrderShipped(OrderEvent):
    """The first parcel of the order was handed over to the carrier."""

    shipped_at: datetime


class OrderDelivered(OrderEvent):
    """Every live parcel of the order has arrived."""

    delivered_at: datetime


class OrderPaymentChanged(OrderEvent):
    """What is known of the order's money changed after it was confirmed."""

    payment_status: Literal[
        "pending", "authorized", "paid", "failed", "partially_refunded", "refunded"
    ]
