"""Redemptions: the use of a coupon by an order, reserved first and redeemed when confirmed."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Stamped
from promotions.domain.tables import Base

HELD = ("reserved", "redeemed")


class Redemption(Stamped, Base):
    """What became of an order's wish to use a coupon; `sequence` numbers what is said of it.

    A row that is `released` without a coupon is a tombstone: the order was called off before the
    command to redeem arrived. A `rejected` one remembers its reason for a repeat.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        CheckConstraint("state in ('reserved', 'redeemed', 'released', 'rejected')", name="state"),
        CheckConstraint(
            "state not in ('reserved', 'redeemed') or (coupon_id is not null and"
            " code is not null and redeemer is not null and discount_amount is not null"
            " and currency is not null)",
            name="held",
        ),
        CheckConstraint("(reason is not null) = (state = 'rejected')", name="reason"),
        CheckConstraint("discount_amount >= 0", name="discount_amount"),
        Index(
            "ix_redemptions_held",
            "coupon_id",
            "redeemer",
            postgresql_where=text("state in ('reserved', 'redeemed')"),
        ),
        Index("ix_redemptions_coupon_id", "coupon_id", "order_id"),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation_id: Mapped[UUID]
    coupon_id: Mapped[UUID | None] = mapped_column(ForeignKey("coupons.id"))
    code: Mapped[str | None] = mapped_column(String(50))
    customer_id: Mapped[UUID | None]
    redeemer: Mapped[str | None] = mapped_column(String(100))
    discount_amount: Mapped[int | None]
    currency: Mapped[str | None] = mapped_column(CHAR(3))
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(30))
    sequence: Mapped[int]
