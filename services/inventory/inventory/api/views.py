"""How stock, its movements and its reservations look to staff."""

from datetime import datetime
from uuid import UUID

from chassis.wire import View
from inventory.domain.reservation import AllocatedLine, Rejection, Reservation, State
from inventory.domain.stock import (
    Availability,
    Bucket,
    Direction,
    Operation,
    ReferenceType,
    StockLevel,
)
from inventory.store.stock_views import KeptItem


class StockItemView(View):
    """Whole pieces of one variant in one warehouse; `version` is the ETag."""

    variant_id: UUID
    warehouse_id: UUID
    warehouse_code: str
    sku: str
    on_hand: int
    reserved: int
    available: int
    low_stock_threshold: int
    version: int
    updated_at: datetime

    @classmethod
    def of(cls, kept: KeptItem, sku: str) -> "StockItemView":
        """Show a stored item."""
        item = kept.item
        return cls(
            variant_id=item.variant_id,
            warehouse_id=item.warehouse_id,
            warehouse_code=kept.warehouse_code,
            sku=sku,
            on_hand=item.on_hand,
            reserved=item.reserved,
            available=item.on_hand - item.reserved,
            low_stock_threshold=item.low_stock_threshold,
            version=item.version,
            updated_at=item.updated_at,
        )


class StockItemsView(View):
    """Several stock items."""

    items: list[StockItemView]


class StockView(View):
    """A variant's pieces over all active warehouses, and its items in every warehouse."""

    variant_id: UUID
    product_id: UUID
    sku: str
    seller_id: UUID | None
    on_hand: int
    reserved: int
    available: int
    low_stock_threshold: int
    availability: Availability
    items: list[StockItemView]

    @classmethod
    def of(cls, level: StockLevel, items: list[KeptItem]) -> "StockView":
        """Show a stored level."""
        return cls.model_validate(
            {
                **{name: getattr(level, name) for name in cls.model_fields if hasattr(level, name)},
                "available": level.on_hand - level.reserved,
                "items": [StockItemView.of(kept, level.sku) for kept in items],
            }
        )


class MovementView(View):
    """One change of one bucket; `direction` is null where only promises moved."""

    id: UUID
    variant_id: UUID
    warehouse_id: UUID
    operation: Operation
    bucket: Bucket
    direction: Direction | None
    previous: int
    new: int
    adjustment: int
    reason: str
    reference_type: ReferenceType
    reference_id: UUID | None
    user_id: UUID | None
    created_at: datetime


class AllocationView(View):
    """Pieces of an order line promised from a warehouse; `deducted` of them have left it."""

    line_id: UUID
    variant_id: UUID
    warehouse_id: UUID
    seller_id: UUID | None
    quantity: int
    deducted: int


class ReservationView(View):
    """What an order holds or held; `rejection` says why it was promised nothing."""

    order_id: UUID
    state: State
    rejection: Rejection | None
    created_at: datetime
    updated_at: datetime
    allocations: list[AllocationView]

    @classmethod
    def of(cls, reservation: Reservation, lines: list[AllocatedLine]) -> "ReservationView":
        """Show a stored reservation."""
        return cls.model_validate(
            {
                "order_id": reservation.order_id,
                "state": reservation.state,
                "rejection": reservation.rejection,
                "created_at": reservation.created_at,
                "updated_at": reservation.updated_at,
                "allocations": [AllocationView.model_validate(line) for line in lines],
            }
        )
