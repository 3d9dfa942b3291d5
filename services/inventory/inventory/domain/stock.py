"""The stock of a variant: its level over all warehouses, its item in each, and how they moved."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, NotFound, Refused
from chassis.model import Stamped
from inventory.domain.model import LONGEST_REASON, Base, one_of

Availability = Literal["in_stock", "low_stock", "out_of_stock"]
Operation = Literal["set", "adjust", "reserve", "release", "deduct", "restock"]
Bucket = Literal["on_hand", "reserved"]
ReferenceType = Literal["order", "restock", "return", "transfer", "manual"]
Direction = Literal["in", "out", "adjustment"]

DEFAULT_THRESHOLD = 10


class VariantUnknown(NotFound):
    """The catalogue has not told of this variant (yet)."""

    code = "variant_unknown"


class StockItemUnknown(NotFound):
    """The variant was never kept in this warehouse."""

    code = "stock_item_unknown"


class BelowReserved(Refused):
    """Fewer pieces would be on hand than are promised to orders."""

    code = "below_reserved"


class TooManyPieces(Refused):
    """More pieces would be on hand than can be counted here."""

    code = "too_many_pieces"


class SellerMismatch(Refused):
    """A seller's warehouse keeps that seller's variants only."""

    code = "seller_mismatch"


class SkuMismatch(Invalid):
    """The variant has another SKU."""

    code = "sku_mismatch"


class StockLevel(Stamped, Base):
    """A variant and its pieces over all active warehouses, as last told to the world.

    Its row lock is the lock of all the variant's stock items: whoever changes one holds it.
    `sequence` numbers the variant's stock events; `product_sequence` is the catalogue's.
    """

    __tablename__ = "stock_levels"
    __table_args__ = (
        CheckConstraint("0 <= reserved and reserved <= on_hand", name="reserved_within_on_hand"),
        CheckConstraint(
            one_of("availability", "in_stock", "low_stock", "out_of_stock"), name="availability"
        ),
        Index("ix_stock_levels_sku", "sku", "variant_id"),
        Index("ix_stock_levels_availability", "availability", "sku", "variant_id"),
        Index("ix_stock_levels_product_id", "product_id"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    variant_id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID]
    sku: Mapped[str] = mapped_column(String(50))
    seller_id: Mapped[UUID | None]
    product_sequence: Mapped[int]
    on_hand: Mapped[int] = mapped_column(server_default="0")
    reserved: Mapped[int] = mapped_column(server_default="0")
    low_stock_threshold: Mapped[int] = mapped_column(server_default=str(DEFAULT_THRESHOLD))
    availability: Mapped[str] = mapped_column(server_default="out_of_stock")
    sequence: Mapped[int] = mapped_column(server_default="0")


class StockItem(Stamped, Base):
    """Whole pieces of one variant in one warehouse.

    `version` moves with the count of pieces on hand and the threshold, which people set, and not
    with what orders reserve: else nobody could ever correct the stock of a variant that sells.
    """

    __tablename__ = "stock_items"
    __table_args__ = (
        CheckConstraint("0 <= reserved and reserved <= on_hand", name="reserved_within_on_hand"),
        CheckConstraint("low_stock_threshold >= 0", name="low_stock_threshold"),
        Index("ix_stock_items_warehouse_id", "warehouse_id", "variant_id"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    variant_id: Mapped[UUID] = mapped_column(
        ForeignKey("stock_levels.variant_id"), primary_key=True
    )
    warehouse_id: Mapped[UUID] = mapped_column(ForeignKey("warehouses.id"), primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]
    low_stock_threshold: Mapped[int]
    version: Mapped[int] = mapped_column(server_default="1")


class StockMovement(Base):
    """One change of one bucket of one stock item; never changed, never deleted."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint("adjustment = new - previous and adjustment <> 0", name="adjustment"),
        CheckConstraint("previous >= 0 and new >= 0", name="counts"),
        CheckConstraint(
            one_of("operation", "set", "adjust", "reserve", "release", "deduct", "restock"),
            name="operation",
        ),
        CheckConstraint(one_of("bucket", "on_hand", "reserved"), name="bucket"),
        CheckConstraint(
            one_of("reference_type", "order", "restock", "return", "transfer", "manual"),
            name="reference_type",
        ),
        CheckConstraint("reason <> ''", name="reason"),
        Index("ix_stock_movements_variant_id", "variant_id", "warehouse_id", "id"),
        Index("ix_stock_movements_reference_id", "reference_id", "id"),
        Index(
            "ix_stock_movements_user_id",
            "user_id",
            "id",
            postgresql_where=text("user_id is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID]
    warehouse_id: Mapped[UUID]
    operation: Mapped[str]
    bucket: Mapped[str]
    previous: Mapped[int]
    new: Mapped[int]
    adjustment: Mapped[int]
    reason: Mapped[str] = mapped_column(String(LONGEST_REASON))
    reference_type: Mapped[str]
    reference_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def direction(self) -> Direction | None:
        """Whether pieces came in, went out or were recounted; None where only promises moved."""
        if self.bucket == "reserved":
            return None
        if self.reference_type == "manual":
            return "adjustment"
        return "in" if self.adjustment > 0 else "out"
