"""Coupons: codes that take something off an order."""

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, String
from sqlalchemy.dialects.postgresql import CHAR
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Aggregate
from promotions.domain.tables import Base

Refusal = Literal["disabled", "not_started", "ended", "used_up", "used_up_by_customer"]


def normal_code(code: str) -> str:
    """Write a code the way it is stored: case does not matter to customers."""
    return code.strip().upper()


@dataclass(frozen=True, slots=True)
class Limits:
    """What decides whether a coupon can be used once more."""

    status: str
    starts_at: date | None
    ends_at: date | None
    max_uses: int | None
    max_uses_per_customer: int | None

    def refusal(self, *, uses: int, uses_by_redeemer: int, today: date) -> Refusal | None:
        """Say why the coupon cannot be used once more, or None.

        The uses are those held now: in all, and by the person who asks.
        """
        if self.status == "disabled":
            return "disabled"
        if self.starts_at is not None and today < self.starts_at:
            return "not_started"
        if self.ends_at is not None and today > self.ends_at:
            return "ended"
        if self.max_uses is not None and uses >= self.max_uses:
            return "used_up"
        if (
            self.max_uses_per_customer is not None
            and uses_by_redeemer >= self.max_uses_per_customer
        ):
            return "used_up_by_customer"
        return None


class Coupon(Aggregate, Base):
    """A coupon. Its window is whole days in the shop's time zone, the last one included.

    `value` is in basis points (percentage) or minor units (fixed). `uses_count` counts the uses
    reserved and redeemed; it moves without the version, so that a sale does not disturb an editor.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        CheckConstraint("code = upper(code) and code <> ''", name="code"),
        CheckConstraint("status in ('active', 'disabled')", name="status"),
        CheckConstraint(
            "(discount_type = 'percentage' and value between 1 and 10000)"
            " or (discount_type = 'fixed' and value >= 1 and currency is not null)"
            " or (discount_type = 'free_shipping' and value is null)",
            name="value",
        ),
        CheckConstraint(
            "min_order_amount is null or (min_order_amount >= 0 and currency is not null)",
            name="min_order_amount",
        ),
        CheckConstraint("ends_at >= starts_at", name="window"),
        CheckConstraint("uses_count between 0 and max_uses", name="max_uses"),
        CheckConstraint("uses_count >= 0", name="uses_count"),
        CheckConstraint("max_uses_per_customer >= 1", name="max_uses_per_customer"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(50), unique=True)
    description: Mapped[str] = mapped_column(String(500))
    discount_type: Mapped[str] = mapped_column(String(20))
    value: Mapped[int | None]
    currency: Mapped[str | None] = mapped_column(CHAR(3))
    min_order_amount: Mapped[int | None]
    max_uses: Mapped[int | None]
    max_uses_per_customer: Mapped[int | None]
    uses_count: Mapped[int] = mapped_column(server_default="0", default=0)
    starts_at: Mapped[date | None]
    ends_at: Mapped[date | None]
    status: Mapped[str] = mapped_column(String(10))

    @property
    def limits(self) -> Limits:
        """Gather what decides whether it can be used."""
        return Limits(
            self.status, self.starts_at, self.ends_at, self.max_uses, self.max_uses_per_customer
        )

    def status_on(self, today: date) -> Literal["active", "expired", "disabled"]:
        """Tell the status people see: a coupon whose last day is over has expired."""
        if self.status == "disabled":
            return "disabled"
        return "expired" if self.ends_at is not None and today > self.ends_at else "active"
