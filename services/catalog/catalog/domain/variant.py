"""The parts of a product: variants, each under its own SKU, their prices over time, and images."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR, JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.category import Base
from chassis.model import Retained, Stamped

# Directive 98/6/EC, article 6a: a reduction shows the lowest price of this long before it.
REFERENCE_PERIOD = timedelta(days=30)


class Option(TypedDict):
    """One option of a variant, such as `size` and `XL`."""

    name: str
    value: str


class Variant(Stamped, Base):
    """What a customer can buy.

    `price_adjustment_amount` (signed minor units) is added to the product's price of the moment;
    `options_key`, a digest of the options without order and case, is unique within a product.
    """

    __tablename__ = "variants"
    __retention__ = Retained("orders and stock refer to variants; a retired one stays")
    __table_args__ = (
        CheckConstraint("lead_time_days between 0 and 365", name="lead_time_days"),
        CheckConstraint("jsonb_typeof(options) = 'array'", name="options"),
        Index(
            "uq_variants_product_id_options_key",
            "product_id",
            "options_key",
            unique=True,
            postgresql_where=text("deleted_at is null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), index=True)
    sku: Mapped[str] = mapped_column(String(50), unique=True)
    options: Mapped[list[Option]] = mapped_column(JSONB)
    options_key: Mapped[str] = mapped_column(CHAR(32))
    price_adjustment_amount: Mapped[int]
    lead_time_days: Mapped[int]
    is_available: Mapped[bool]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(100))

    def set_options(self, options: list[Option]) -> None:
        """Set the options, in this order, and their digest."""
        self.options = options
        pairs = sorted((each["name"].lower(), each["value"].lower()) for each in options)
        self.options_key = hashlib.blake2b(json.dumps(pairs).encode(), digest_size=16).hexdigest()

    @property
    def description(self) -> str:
        """The values of the options, as in `Red / XL`; empty for the only variant without any."""
        return " / ".join(option["value"] for option in self.options)


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
        """The amount to pay at a moment."""
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
    """What a variant cost from one moment until another (excluded; null: still today)."""

    __tablename__ = "price_history"
    __retention__ = Retained(
        "the proof of the lowest price before a discount; a row for each new price"
    )
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


class ProductImage(Stamped, Base):
    """An image; `bytes` is its size, `width` and `height` are pixels, where they are known."""

    __tablename__ = "product_images"
    __retention__ = Retained("a row for each image, which staff delete")
    __table_args__ = (
        CheckConstraint("bytes >= 0", name="bytes"),
        CheckConstraint("width > 0 and height > 0", name="pixels"),
        # Checked at the commit, so that two images can swap in any order of statements.
        ExcludeConstraint(
            ("product_id", "="),
            using="btree",
            where=text("is_primary"),
            name="ex_product_images_primary",
            deferrable=True,
            initially="DEFERRED",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), index=True)
    url: Mapped[str] = mapped_column(String(500))
    alt_text: Mapped[str] = mapped_column(String(200))
    mime: Mapped[str | None] = mapped_column(String(100))
    bytes: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    is_primary: Mapped[bool]
    display_order: Mapped[int]
