"""Prices over time: what a variant costs at a moment, and what it cost before."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import CHAR
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.tables import Base
from chassis.model import Stamped

# Directive 98/6/EC, article 6a: beside a reduction stands the lowest price of this long before.
LOOKED_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pricing:
    """A price and its discount, in minor units; the window's end is excluded, None has no end."""

    price_amount: int
    discount_price_amount: int | None
    discount_from: datetime | None
    discount_until: datetime | None

    def is_discounted(self, at: datetime) -> bool:
        """Whether the discount price holds at a moment."""
        if self.discount_price_amount is None:
            return False
        begun = self.discount_from is None or self.discount_from <= at
        return begun and (self.discount_until is None or at < self.discount_until)

    def amount(self, at: datetime) -> int:
        """What is paid at a moment."""
        if self.discount_price_amount is not None and self.is_discounted(at):
            return self.discount_price_amount
        return self.price_amount

    def changes_after(self, at: datetime) -> datetime | None:
        """The next moment at which the amount changes by itself, or None."""
        if self.discount_price_amount is None:
            return None
        edges = (self.discount_from, self.discount_until)
        return min((edge for edge in edges if edge is not None and edge > at), default=None)


class PriceHistory(Stamped, Base):
    """What a variant cost from one moment until another (excluded; null while it still does)."""

    __tablename__ = "price_history"
    __table_args__ = (
        CheckConstraint("amount >= 1", name="amount"),
        CheckConstraint("valid_until >= valid_from", name="valid"),
        Index("ix_price_history_variant_id_valid_from", "variant_id", "valid_from"),
        Index(
            "uq_price_history_current",
            "variant_id",
            unique=True,
            postgresql_where=text("valid_until is null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID] = mapped_column(ForeignKey("variants.id"))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
