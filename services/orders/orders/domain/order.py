"""The tables of orders: the order, its lines, coupon and history, and its process."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate, Model, Stamped, own_metadata


class Base(Model):
    """Orders' own tables."""

    __abstract__ = True
    metadata = own_metadata()


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
    """Where the checkout saga stands."""

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


METHODS = ("card", "paypal", "wallet", "cod", "bank_transfer")


def one_of(column: str, values: Any) -> str:
    """A CHECK condition for an enumeration."""
    return f"{column} in ({', '.join(repr(str(value)) for value in values)})"


class Order(Aggregate, Base):
    """What was sold to whom, for how much. Amounts are minor units of `currency`."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint(one_of("status", Status), name="status"),
        CheckConstraint(one_of("payment_status", PaymentStatus), name="payment_status"),
        CheckConstraint(one_of("payment_method", METHODS), name="payment_method"),
        CheckConstraint("total_amount >= 0", name="total_amount"),
        CheckConstraint(
            "captured_amount >= refunded_amount and refunded_amount >= 0", name="money"
        ),
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
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_number: Mapped[str] = mapped_column(String(20))
    cart_id: Mapped[UUID]
    customer_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    access_hash: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    payment_status: Mapped[str] = mapped_column(Text, server_default="pending")
    currency: Mapped[str] = mapped_column(String(3))
    subtotal_amount: Mapped[int]
    discount_amount: Mapped[int]
    shipping_amount: Mapped[int]
    tax_amount: Mapped[int]
    total_amount: Mapped[int]
    captured_amount: Mapped[int] = mapped_column(server_default="0")
    refunded_amount: Mapped[int] = mapped_column(server_default="0")
    ship_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    bill_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    contact_email: Mapped[str] = mapped_column(String(255))
    shipping_method: Mapped[dict[str, Any]] = mapped_column(JSONB)
    payment_method: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[UUID | None]
    payment_brand: Mapped[str | None] = mapped_column(String(20))
    payment_last_four: Mapped[str | None] = mapped_column(String(4))
    payment_reference: Mapped[str | None] = mapped_column(String(255))
    coupon_code: Mapped[str | None] = mapped_column(String(50))
    coupon_id: Mapped[UUID | None]
    placed_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancellation_reason: Mapped[str | None] = mapped_column(String(500))
    cancellation_state: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(100))
    updated_by: Mapped[str] = mapped_column(String(100))


class OrderLine(Base):
    """One thing bought, as it was when it was bought; amounts are for all its pieces."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity between 1 and 99", name="quantity"),
        CheckConstraint(
            "quantity_shipped between 0 and quantity and quantity_returned between 0 and quantity",
            name="moved",
        ),
        Index("ix_order_lines_order_id", "order_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    position: Mapped[int]
    variant_id: Mapped[UUID]
    product_id: Mapped[UUID]
    seller_id: Mapped[UUID | None]
    sku: Mapped[str] = mapped_column(String(50))
    product_name: Mapped[str] = mapped_column(String(200))
    variant_description: Mapped[str] = mapped_column(String(500))
    unit_price_amount: Mapped[int]
    quantity: Mapped[int]
    discount_amount: Mapped[int]
    tax_amount: Mapped[int]
    total_amount: Mapped[int]
    lead_time_days: Mapped[int]
    customization: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    quantity_shipped: Mapped[int] = mapped_column(server_default="0")
    quantity_returned: Mapped[int] = mapped_column(server_default="0")


class OrderShipment(Base):
    """What orders knows of a parcel: enough for its view and for deciding when all has arrived."""

    __tablename__ = "order_shipments"
    __table_args__ = (Index("ix_order_shipments_order_id", "order_id"),)

    shipment_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    status: Mapped[str] = mapped_column(Text)
    handed_over: Mapped[bool] = mapped_column(server_default="false")
    carrier: Mapped[str | None] = mapped_column(String(100))
    tracking_number: Mapped[str | None] = mapped_column(String(100))
    sequence: Mapped[int] = mapped_column(server_default="0")


class OrderHistory(Base):
    """Every change of an order's public status."""

    __tablename__ = "order_history"
    __table_args__ = (Index("ix_order_history_order_id_at", "order_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    from_status: Mapped[str | None] = mapped_column(Text)
    to_status: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(String(500))


class CheckoutSaga(Stamped, Base):
    """Where the order's process stands; kept after its end, because late money must find it.

    `facts` is what the commands to come need to carry; `progress` what has been asked and answered.
    """

    __tablename__ = "checkout_sagas"
    __table_args__ = (
        CheckConstraint(one_of("stage", Stage), name="stage"),
        Index(
            "ix_checkout_sagas_deadline_at",
            "deadline_at",
            postgresql_where=text("deadline_at is not null"),
        ),
        Index("ix_checkout_sagas_stage", "stage", "order_id"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(Text)
    deadline_at: Mapped[datetime | None]
    repeats: Mapped[int] = mapped_column(server_default="0")
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB)
    ended_at: Mapped[datetime | None]


class SagaLog(Base):
    """Every message and deadline the saga heard, and what it did about it."""

    __tablename__ = "saga_log"
    __table_args__ = (Index("ix_saga_log_order_id_at", "order_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    at: Mapped[datetime]
    stage: Mapped[str] = mapped_column(Text)
    heard: Mapped[str] = mapped_column(String(100))
    message_id: Mapped[UUID | None]
    outcome: Mapped[str] = mapped_column(Text)
    next_stage: Mapped[str] = mapped_column(Text)
    sent: Mapped[list[str]] = mapped_column(JSONB)
    trace_id: Mapped[str | None] = mapped_column(String(32))


class NumberBlock(Base):
    """The next order number of a year; processes lease them in blocks."""

    __tablename__ = "order_number_blocks"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_number: Mapped[int]
