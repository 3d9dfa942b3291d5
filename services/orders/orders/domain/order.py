"""An order's states, its refusals, and the tables of orders.

Rows of these tables are written and read as plain values: an ORM would double the CPU time of a
checkout. What an order may do is `domain.checkout.Checkout`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import Forbidden, NotFound, Refused
from chassis.model import RETENTION, Pruned, Retained, check_in, own_metadata


class Status(StrEnum):
    """What clients see of an order's life. The stages of its saga are never public."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class PaymentStatus(StrEnum):
    """What is known of an order's money."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class Stage(StrEnum):
    """The stages of the checkout saga."""

    RESERVING = "reserving"
    REDEEMING = "redeeming"
    COLLECTING = "collecting"
    AWAITING_CUSTOMER = "awaiting_customer"
    CANCELLING_PAYMENT = "cancelling_payment"
    REFUNDING = "refunding"
    RELEASING = "releasing"
    FULFILLING = "fulfilling"
    NEEDS_REVIEW = "needs_review"
    RECALLING = "recalling"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class OrderNotFound(NotFound):
    """There is no such order, or it is not yours."""

    code = "order_not_found"


class CartAlreadyOrdered(Refused):
    """This cart has an order already."""

    code = "cart_already_ordered"


class TooLateToCancel(Refused):
    """A parcel was handed over; return it instead."""

    code = "too_late_to_cancel"


class RefundNotPermitted(Forbidden):
    """This returns money to the customer; you need the permission orders:refund."""

    code = "refund_not_permitted"


class AlreadyCancelled(Refused):
    """The order is cancelled already."""

    code = "already_cancelled"


class NothingToReview(Refused):
    """The order does not wait for a decision of staff."""

    code = "nothing_to_review"


class AlreadyClaimed(Refused):
    """The order belongs to an account already."""

    code = "already_claimed"


class NothingToRetry(Refused):
    """The saga waits for no reply to a command; `resume` one that needs review."""

    code = "nothing_to_retry"


class MayNotSkip(Refused):
    """Skipping this stage would lose track of goods or money; compensate instead."""

    code = "may_not_skip"


class NotStandingStill(Refused):
    """The saga is running and has a deadline; `retry` sends its commands once more."""

    code = "not_standing_still"


class CompensatesAlready(Refused):
    """The order is being undone already; `retry` sends the commands once more."""

    code = "compensates_already"


def _required(name: str, kind: Any, *constraints: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *constraints, nullable=False, **options)


def _timestamps() -> tuple[Column[datetime], Column[datetime]]:
    return (
        _required("created_at", Moment, server_default=func.now()),
        _required("updated_at", Moment, server_default=func.now(), onupdate=func.now()),
    )


def _id(name: str = "id") -> Column[UUID]:
    return Column(name, Uuid, primary_key=True)


def _order_id() -> Column[UUID]:
    return _required("order_id", Uuid, ForeignKey("orders.id"))


METHODS: Final = ("card", "paypal", "wallet", "cod", "bank_transfer")
Moment: Final = DateTime(timezone=True)
metadata: Final = own_metadata()

order_table = Table(
    "orders",
    metadata,
    _id(),
    _required("order_number", String(20)),
    _required("cart_id", Uuid),
    Column("customer_id", Uuid),
    Column("user_id", Uuid),
    Column("access_hash", String(64)),
    _required("status", Text, server_default="pending"),
    _required("payment_status", Text, server_default="pending"),
    _required("currency", String(3)),
    _required("subtotal_amount", BigInteger),
    _required("discount_amount", BigInteger),
    _required("shipping_amount", BigInteger),
    _required("tax_amount", BigInteger),
    _required("total_amount", BigInteger),
    _required("captured_amount", BigInteger, server_default="0"),
    _required("refunded_amount", BigInteger, server_default="0"),
    _required("ship_to", JSONB),
    _required("bill_to", JSONB),
    _required("contact_email", String(255)),
    _required("shipping_method", JSONB),
    _required("payment_method", Text),
    Column("payment_id", Uuid),
    Column("payment_brand", String(20)),
    Column("payment_last_four", String(4)),
    Column("payment_reference", String(255)),
    Column("coupon_code", String(50)),
    Column("coupon_id", Uuid),
    _required("placed_at", Moment),
    Column("confirmed_at", Moment),
    Column("cancelled_at", Moment),
    Column("cancellation_reason", String(500)),
    Column("cancellation_state", Text),
    _required("created_by", String(100)),
    _required("updated_by", String(100)),
    *_timestamps(),
    _required("version", BigInteger, server_default="1"),
    _required("sequence", BigInteger, server_default="0"),
    CheckConstraint(check_in("status", [each.value for each in Status]), name="status"),
    CheckConstraint(
        check_in("payment_status", [each.value for each in PaymentStatus]), name="payment_status"
    ),
    CheckConstraint(check_in("payment_method", METHODS), name="payment_method"),
    CheckConstraint("total_amount >= 0", name="total_amount"),
    CheckConstraint("captured_amount >= refunded_amount and refunded_amount >= 0", name="money"),
    UniqueConstraint("order_number"),
    Index(
        "uq_orders_live_cart_id",
        "cart_id",
        unique=True,
        postgresql_where=text("status <> 'cancelled'"),
    ),
    Index("ix_orders_customer_id_placed_at", "customer_id", "placed_at", "id"),
    Index("ix_orders_status_placed_at", "status", "placed_at", "id"),
    Index("ix_orders_placed_at_id", "placed_at", "id"),
    Index("ix_orders_contact_email", "contact_email"),
    info={RETENTION: Retained("sales records: tax law requires them for up to ten years")},
)
"""What was sold to whom. Amounts are minor units of `currency`."""

line_table = Table(
    "order_lines",
    metadata,
    _id(),
    _order_id(),
    _required("position", BigInteger),
    _required("variant_id", Uuid),
    _required("product_id", Uuid),
    Column("seller_id", Uuid),
    _required("sku", String(50)),
    _required("product_name", String(200)),
    _required("variant_description", String(500)),
    _required("unit_price_amount", BigInteger),
    _required("quantity", BigInteger),
    _required("discount_amount", BigInteger),
    _required("tax_amount", BigInteger),
    _required("total_amount", BigInteger),
    _required("lead_time_days", BigInteger),
    Column("customization", JSONB),
    _required("quantity_shipped", BigInteger, server_default="0"),
    _required("quantity_returned", BigInteger, server_default="0"),
    CheckConstraint("quantity between 1 and 99", name="quantity"),
    CheckConstraint(
        "quantity_shipped between 0 and quantity and quantity_returned between 0 and quantity",
        name="moved",
    ),
    Index("ix_order_lines_order_id", "order_id"),
    info={RETENTION: Retained("part of the sales record")},
)
"""A line as it was sold; amounts are for all its pieces."""

shipment_table = Table(
    "order_shipments",
    metadata,
    _id("shipment_id"),
    _order_id(),
    _required("status", Text),
    _required("handed_over", Boolean, server_default="false"),
    Column("carrier", String(100)),
    Column("tracking_number", String(100)),
    _required("sequence", BigInteger, server_default="0"),
    Index("ix_order_shipments_order_id", "order_id"),
    info={RETENTION: Retained("part of the sales record: returns refer to it")},
)
"""What orders stores of a parcel: enough to show it and to decide when all have arrived."""

history_table = Table(
    "order_history",
    metadata,
    _id(),
    _order_id(),
    Column("from_status", Text),
    _required("to_status", Text),
    _required("at", Moment),
    _required("by", String(100)),
    Column("reason", String(500)),
    Index("ix_order_history_order_id_at", "order_id", "at"),
    info={RETENTION: Retained("part of the sales record: who changed an order, and when")},
)
"""Every change of an order's public status."""

saga_table = Table(
    "checkout_sagas",
    metadata,
    Column("order_id", Uuid, ForeignKey("orders.id"), primary_key=True),
    _required("stage", Text),
    Column("deadline_at", Moment),
    _required("repeats", BigInteger, server_default="0"),
    _required("facts", JSONB),
    _required("progress", JSONB),
    Column("ended_at", Moment),
    *_timestamps(),
    CheckConstraint(check_in("stage", [each.value for each in Stage]), name="stage"),
    Index(
        "ix_checkout_sagas_deadline_at",
        "deadline_at",
        postgresql_where=text("deadline_at is not null"),
    ),
    Index("ix_checkout_sagas_stage", "stage", "order_id"),
    info={RETENTION: Retained("money that arrives late finds the saga of its order")},
)
"""The saga of an order; retained after its end, because late money needs it."""

saga_log_table = Table(
    "saga_log",
    metadata,
    _id(),
    _required("order_id", Uuid),
    _required("at", Moment),
    _required("stage", Text),
    _required("heard", String(100)),
    Column("message_id", Uuid),
    _required("outcome", Text),
    _required("next_stage", Text),
    _required("sent", JSONB),
    Column("trace_id", String(32)),
    Index("ix_saga_log_order_id_at", "order_id", "at"),
    info={
        RETENTION: Pruned(
            days=400,
            by="id",
            where="exists (select from checkout_sagas s where s.order_id = saga_log.order_id "
            "and s.stage in ('completed', 'cancelled') and s.ended_at < :cutoff)",
            unless="the saga is open, needs review, or changed in that time",
            least=30,
        )
    },
)
"""Every message and trigger that a saga received (`heard`), and what it sent."""

number_block_table = Table(
    "order_number_blocks",
    metadata,
    Column("year", BigInteger, primary_key=True, autoincrement=False),
    _required("next_number", BigInteger),
    info={RETENTION: Retained("a row for each year")},
)
"""The next order number of a year; processes lease them in blocks."""
