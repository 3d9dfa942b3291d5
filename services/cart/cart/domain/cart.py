"""Carts and their lines as rows: the two tables and what the database itself guards."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from cart.domain import Base
from chassis.model import Stamped


class Cart(Stamped, Base):
    """A cart of one customer or of whoever holds its token.

    Its amounts are those it was locked at; an open cart is priced anew whenever it is shown.
    `locked` holds the answer given to the order, so that a repeat gets the same one.
    """

    __tablename__ = "carts"
    __table_args__ = (
        CheckConstraint("status in ('active', 'locked', 'converted', 'abandoned')", name="status"),
        CheckConstraint("num_nonnulls(customer_id, token_hash) = 1", name="holder"),
        CheckConstraint(
            "status in ('active', 'abandoned') or (order_id is not null and locked is not null)",
            name="lock",
        ),
        CheckConstraint(
            "least(subtotal_amount, discount_amount, shipping_amount, tax_amount, "
            "total_amount) >= 0",
            name="amounts",
        ),
        Index(
            "uq_carts_active_customer_id",
            "customer_id",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
        Index("uq_carts_token_hash", "token_hash", unique=True),
        Index("ix_carts_locked", "lock_checked_at", postgresql_where=text("status = 'locked'")),
        Index("ix_carts_resting", "last_activity_at", postgresql_where=text("status = 'active'")),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID | None]
    token_hash: Mapped[str | None] = mapped_column(CHAR(64))
    email: Mapped[str | None] = mapped_column(String(255))
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(20), server_default="active")
    coupon_code: Mapped[str | None] = mapped_column(String(50))
    shipping_address: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    billing_address: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    shipping_method_id: Mapped[UUID | None]
    subtotal_amount: Mapped[int] = mapped_column(server_default="0")
    discount_amount: Mapped[int] = mapped_column(server_default="0")
    shipping_amount: Mapped[int] = mapped_column(server_default="0")
    tax_amount: Mapped[int] = mapped_column(server_default="0")
    total_amount: Mapped[int] = mapped_column(server_default="0")
    order_id: Mapped[UUID | None]
    locked: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    lock_checked_at: Mapped[datetime | None]
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("carts.id"), index=True)
    last_activity_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    version: Mapped[int] = mapped_column(server_default="1")


class CartItem(Stamped, Base):
    """Pieces of a variant with one customization; `unit_price_amount` is what the customer saw."""

    __tablename__ = "cart_items"
    __table_args__ = (
        CheckConstraint("quantity between 1 and 99", name="quantity"),
        CheckConstraint("unit_price_amount >= 1", name="unit_price"),
        Index(
            "uq_cart_items_cart_variant_customization",
            "cart_id",
            "variant_id",
            "customization_key",
            unique=True,
        ),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    cart_id: Mapped[UUID] = mapped_column(ForeignKey("carts.id", ondelete="CASCADE"))
    variant_id: Mapped[UUID]
    product_id: Mapped[UUID]
    sku: Mapped[str] = mapped_column(String(50))
    product_name: Mapped[str] = mapped_column(String(200))
    variant_description: Mapped[str] = mapped_column(Text)
    unit_price_amount: Mapped[int]
    quantity: Mapped[int] = mapped_column(SmallInteger)
    customization: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    customization_key: Mapped[str] = mapped_column(String(64), server_default="")
    added_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
