"""Variants: the things of a product that can be bought, each under a SKU of its own."""

import hashlib
import json
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.tables import Base
from chassis.model import Stamped


class Option(TypedDict):
    """One thing in which variants differ, such as `size` and `XL`."""

    name: str
    value: str


class Variant(Stamped, Base):
    """One thing that can be bought.

    `price_adjustment_amount` (signed minor units) is added to the product's price of the moment;
    `options_key` is a digest of the options without order and case, by which no two may agree.
    """

    __tablename__ = "variants"
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

    def describe_by(self, options: list[Option]) -> None:
        """Take these options, in this order."""
        self.options = options
        pairs = sorted((each["name"].lower(), each["value"].lower()) for each in options)
        self.options_key = hashlib.blake2b(json.dumps(pairs).encode(), digest_size=16).hexdigest()

    @property
    def description(self) -> str:
        """The values of the options, as in `Red / XL`; empty for the only variant without any."""
        return " / ".join(option["value"] for option in self.options)
