"""The stock of a variant: its level over all warehouses, its item in each, and each movement."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    String,
    Table,
    Uuid,
    func,
    text,
)

from chassis.errors import Invalid, NotFound, Refused
from chassis.ids import new_id
from chassis.model import RETENTION, Model, Retained, check_in, own_metadata
from contracts.inventory import (
    StockCameBack,
    StockChanged,
    StockEvent,
    StockRanLow,
    StockRanOut,
    StockSnapshot,
)

Availability = Literal["in_stock", "low_stock", "out_of_stock"]
Operation = Literal["set", "adjust", "reserve", "release", "deduct", "restock"]
Bucket = Literal["on_hand", "reserved"]
ReferenceType = Literal["order", "restock", "return", "transfer", "manual"]
Direction = Literal["in", "out", "adjustment"]

DEFAULT_THRESHOLD: Final = 10
MAX_REASON_LENGTH: Final = 500
MAX_PIECES: Final = 10**9


class VariantUnknown(NotFound):
    """The catalogue has not published this variant (yet)."""

    code = "variant_unknown"


class StockItemUnknown(NotFound):
    """This warehouse has never stocked the variant."""

    code = "stock_item_unknown"


class BelowReserved(Refused):
    """Fewer pieces would be on hand than are reserved for orders."""

    code = "below_reserved"


class TooManyPieces(Refused):
    """More pieces would be on hand than a stock item can count."""

    code = "too_many_pieces"


class SellerMismatch(Refused):
    """A seller's warehouse stocks only that seller's variants."""

    code = "seller_mismatch"


class SkuMismatch(Invalid):
    """The variant has another SKU."""

    code = "sku_mismatch"


class Base(Model):
    """Inventory's own tables."""

    __abstract__ = True
    metadata = own_metadata()


def created_at() -> Column[Any]:
    """The column that records when a row was inserted."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def updated_at() -> Column[Any]:
    """The column that records when a row last changed; each UPDATE sets it."""
    return Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now())


# The row lock of a level also locks the variant's stock items: a writer of an item locks the level
# first. `sequence` numbers the variant's stock events; `product_sequence` is the catalogue's.
stock_levels = Table(
    "stock_levels",
    Base.metadata,
    Column("variant_id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("sku", String(50), nullable=False),
    Column("seller_id", Uuid),
    Column("product_sequence", BigInteger, nullable=False),
    Column("on_hand", BigInteger, nullable=False, server_default="0"),
    Column("reserved", BigInteger, nullable=False, server_default="0"),
    Column(
        "low_stock_threshold", BigInteger, nullable=False, server_default=str(DEFAULT_THRESHOLD)
    ),
    Column("availability", String, nullable=False, server_default="out_of_stock"),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    created_at(),
    updated_at(),
    CheckConstraint("0 <= reserved and reserved <= on_hand", name="reserved_within_on_hand"),
    CheckConstraint(check_in("availability", get_args(Availability)), name="availability"),
    Index("ix_stock_levels_sku", "sku", "variant_id"),
    Index("ix_stock_levels_availability", "availability", "sku", "variant_id"),
    Index("ix_stock_levels_product_id", "product_id"),
    postgresql_with={"fillfactor": 70},
    info={RETENTION: Retained("a row for each variant")},
)

# `version` changes with the pieces on hand and the threshold, which staff set, and not with
# reservations: otherwise staff could never correct the stock of a variant that sells.
stock_items = Table(
    "stock_items",
    Base.metadata,
    Column("variant_id", Uuid, ForeignKey("stock_levels.variant_id"), primary_key=True),
    Column("warehouse_id", Uuid, ForeignKey("warehouses.id"), primary_key=True),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("low_stock_threshold", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="1"),
    created_at(),
    updated_at(),
    CheckConstraint("0 <= reserved and reserved <= on_hand", name="reserved_within_on_hand"),
    CheckConstraint("low_stock_threshold >= 0", name="low_stock_threshold"),
    Index("ix_stock_items_warehouse_id", "warehouse_id", "variant_id"),
    postgresql_with={"fillfactor": 70},
    info={RETENTION: Retained("a row for each variant in a warehouse")},
)

# Append-only: a trigger refuses every update and delete.
stock_movements = Table(
    "stock_movements",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("variant_id", Uuid, nullable=False),
    Column("warehouse_id", Uuid, nullable=False),
    Column("operation", String, nullable=False),
    Column("bucket", String, nullable=False),
    Column("previous", BigInteger, nullable=False),
    Column("new", BigInteger, nullable=False),
    Column("adjustment", BigInteger, nullable=False),
    Column("reason", String(MAX_REASON_LENGTH), nullable=False),
    Column("reference_type", String, nullable=False),
    Column("reference_id", Uuid),
    Column("user_id", Uuid),
    created_at(),
    CheckConstraint("adjustment = new - previous and adjustment <> 0", name="adjustment"),
    CheckConstraint("previous >= 0 and new >= 0", name="counts"),
    CheckConstraint(check_in("operation", get_args(Operation)), name="operation"),
    CheckConstraint(check_in("bucket", get_args(Bucket)), name="bucket"),
    CheckConstraint(check_in("reference_type", get_args(ReferenceType)), name="reference_type"),
    CheckConstraint("reason <> ''", name="reason"),
    Index("ix_stock_movements_variant_id", "variant_id", "warehouse_id", "id"),
    Index("ix_stock_movements_reference_id", "reference_id", "id"),
    Index(
        "ix_stock_movements_user_id", "user_id", "id", postgresql_where=text("user_id is not null")
    ),
    info={RETENTION: Retained("the stock ledger: its sum is the stock, and tax law requires it")},
)


@dataclass(frozen=True, slots=True)
class MovementReason:
    """Why pieces move, and for whom; `user_id` is None where an order moves them."""

    reason: str
    reference_type: ReferenceType
    reference_id: UUID | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StockMovement:
    """One change of one bucket of one stock item."""

    variant_id: UUID
    warehouse_id: UUID
    operation: Operation
    bucket: Bucket
    previous: int
    new: int
    adjustment: int
    reason: str
    reference_type: ReferenceType
    reference_id: UUID | None
    user_id: UUID | None
    id: UUID = field(default_factory=new_id)


@dataclass(slots=True)
class StockItem:
    """Whole pieces of one variant in one warehouse; the store adds the `_change`s to the row.

    is_active: whether the warehouse is; stock of an inactive one is not for sale.
    """

    variant_id: UUID
    warehouse_id: UUID
    is_active: bool
    on_hand: int
    reserved: int
    low_stock_threshold: int
    version: int
    on_hand_change: int = 0
    reserved_change: int = 0
    is_new: bool = False
    is_changed: bool = False

    @property
    def available(self) -> int:
        """Pieces on hand that no order has reserved."""
        return self.on_hand - self.reserved

    def move(
        self, operation: Operation, bucket: Bucket, change: int, because: MovementReason
    ) -> StockMovement:
        """Add `change` pieces to a bucket and return the movement to store."""
        if bucket == "on_hand":
            previous = self.on_hand
            self.on_hand += change
            self.on_hand_change += change
            self._raise_version()
        else:
            previous = self.reserved
            self.reserved += change
            self.reserved_change += change
        return StockMovement(
            variant_id=self.variant_id,
            warehouse_id=self.warehouse_id,
            operation=operation,
            bucket=bucket,
            previous=previous,
            new=previous + change,
            adjustment=change,
            reason=because.reason,
            reference_type=because.reference_type,
            reference_id=because.reference_id,
            user_id=because.user_id,
        )

    def set_low_stock_threshold(self, threshold: int) -> None:
        """Set at how many available pieces the stock counts as low."""
        if threshold != self.low_stock_threshold:
            self.low_stock_threshold = threshold
            self._raise_version()

    def _raise_version(self) -> None:
        """Raise the version, once however often the item changes in a transaction."""
        if not self.is_changed:
            self.is_changed = True
            self.version += 1


@dataclass(slots=True)
class StockLevel:
    """A variant's pieces over its active warehouses, as last published."""

    variant_id: UUID
    product_id: UUID
    sku: str
    seller_id: UUID | None
    on_hand: int
    reserved: int
    low_stock_threshold: int
    availability: Availability
    sequence: int
    is_changed: bool = False

    @property
    def available(self) -> int:
        """Pieces on hand that no order has reserved."""
        return self.on_hand - self.reserved

    def update_from(self, items: Iterable[StockItem]) -> list[StockEvent]:
        """Add up the variant's items; returns the events of what changed, at most one crossing."""
        active = [item for item in items if item.is_active]
        threshold = max(
            (item.low_stock_threshold for item in active), default=self.low_stock_threshold
        )
        on_hand = sum(item.on_hand for item in active)
        reserved = sum(item.reserved for item in active)
        availability = availability_of(on_hand - reserved, threshold)
        now = (on_hand, reserved, threshold, availability)
        if now == (self.on_hand, self.reserved, self.low_stock_threshold, self.availability):
            return []
        before, was_published = self.availability, self.sequence > 0
        self.on_hand, self.reserved, self.low_stock_threshold, self.availability = now
        self.is_changed = True
        changed = StockChanged(
            **self._identity(), on_hand=on_hand, reserved=reserved, availability=availability
        )
        crossing = self._crossing(before, was_published=was_published)
        return [self._with_sequence(event) for event in (changed, *crossing)]

    def _crossing(self, before: Availability, *, was_published: bool) -> list[StockEvent]:
        """The event of an availability that changed; none for the first stock of a new variant."""
        if before == self.availability:
            return []
        if self.availability == "out_of_stock":
            return [StockRanOut(**self._identity())]
        if before == "out_of_stock":
            return [StockCameBack(**self._identity())] if was_published else []
        if before == "in_stock":
            return [StockRanLow(**self._identity(), threshold=self.low_stock_threshold)]
        return []

    def snapshot(self, reply_to: str) -> StockSnapshot:
        """The present state for one queue; no event, so it takes no number of its own."""
        return StockSnapshot(
            **self._identity(),
            on_hand=self.on_hand,
            reserved=self.reserved,
            availability=self.availability,
        ).addressed_to(reply_to, self.sequence)

    def _identity(self) -> dict[str, Any]:
        return {
            "variant_id": self.variant_id,
            "product_id": self.product_id,
            "sku": self.sku,
            "available": self.available,
        }

    def _with_sequence(self, event: StockEvent) -> StockEvent:
        self.sequence += 1
        return event.with_sequence(self.sequence)


def availability_of(available: int, threshold: int) -> Availability:
    """The availability that customers see for a number of available pieces."""
    if available <= 0:
        return "out_of_stock"
    return "low_stock" if available <= threshold else "in_stock"
