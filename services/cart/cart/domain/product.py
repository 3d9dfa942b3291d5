"""What can be bought, as far as carts need to know: copies of products and of their stock."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Integer, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from cart.domain import Base
from chassis.errors import Invalid
from chassis.model import Stamped

NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")


class ProductSnapshot(Stamped, Base):
    """The newest known state of a product; `sequence` is that of the event it came with."""

    __tablename__ = "product_snapshots"
    __table_args__ = (
        CheckConstraint("status in ('draft', 'active', 'inactive', 'deleted')", name="status"),
    )
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20))
    category_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    seller_id: Mapped[UUID | None]
    currency: Mapped[str] = mapped_column(CHAR(3))
    customization_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class VariantSnapshot(Stamped, Base):
    """One thing that can be bought; a variant its product no longer lists stays, unavailable."""

    __tablename__ = "variant_snapshots"
    variant_id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("product_snapshots.product_id"), index=True)
    sku: Mapped[str] = mapped_column(String(50))
    description: Mapped[str] = mapped_column(Text)
    price_amount: Mapped[int]
    discount_price_amount: Mapped[int | None]
    discount_from: Mapped[datetime | None]
    discount_until: Mapped[datetime | None]
    is_available: Mapped[bool]
    lead_time_days: Mapped[int] = mapped_column(Integer)


class StockSnapshot(Stamped, Base):
    """How many pieces of a variant can be promised; may be known before the variant itself is."""

    __tablename__ = "stock_snapshots"
    variant_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    available: Mapped[int]


@dataclass(frozen=True, slots=True)
class Offer:
    """A variant as it is sold at this moment. `available` counts whole pieces."""

    variant_id: UUID
    product_id: UUID
    seller_id: UUID | None
    sku: str
    product_name: str
    variant_description: str
    category_ids: tuple[UUID, ...]
    currency: str
    unit_price_amount: int
    is_available: bool
    available: int
    lead_time_days: int
    customization_fields: Sequence[Mapping[str, Any]]


class CustomizationRefused(Invalid):
    """The customization is not one this product takes."""

    code = "customization_invalid"


def effective_price(
    price: int,
    discount_price: int | None,
    discount_from: datetime | None,
    discount_until: datetime | None,
    now: datetime,
) -> int:
    """Choose the discount price inside its window (its end excluded), else the price."""
    if discount_price is None:
        return price
    begun = discount_from is None or discount_from <= now
    over = discount_until is not None and discount_until <= now
    return discount_price if begun and not over else price


def check_customization(offer: Offer, given: Mapping[str, str]) -> None:
    """Refuse fields the product does not have, values too long, and missing required ones."""
    fields = {str(field["name"]): field for field in offer.customization_fields}
    if not given.keys() <= fields.keys():
        raise CustomizationRefused("This product has no such customization field.")
    for name, field in fields.items():
        value = given.get(name, "")
        if field.get("required") and not value:
            raise CustomizationRefused("A required customization is missing.")
        longest = field.get("max_length")
        if longest is not None and len(value) > longest:
            raise CustomizationRefused("A customization is longer than the product allows.")
        if value and field.get("type") == "number" and not NUMBER.fullmatch(value):
            raise CustomizationRefused("A customization must be a number.")
