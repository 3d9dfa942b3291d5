"""Messages of inventory: reservations for orders, and the stock level of each variant."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind, Part, Snapshot


class WantedLine(Part):
    """The variant and quantity of one order line, in whole pieces."""

    line_id: UUID
    variant_id: UUID
    quantity: int


class Allocation(Part):
    """Pieces of one order line reserved in one warehouse; `seller_id` None is the shop itself."""

    line_id: UUID
    variant_id: UUID
    warehouse_id: UUID
    seller_id: UUID | None = None
    quantity: int


class Shortage(Part):
    """A variant with fewer available pieces than the order wants."""

    variant_id: UUID
    wanted: int
    available: int


class ReserveStock(Command):
    """Reserve all lines for the order, or none. Answered by StockReserved or StockRejected."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    lines: list[WantedLine]


class ReleaseStock(Command):
    """Release the order's reservation, even before it exists. Answered by StockReleased."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RestockUnits(Command):
    """Add returned pieces to the stock on hand."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    lines: list[Allocation]
    reason: str


class RequestStockSnapshots(Command):
    """Send the current stock of every variant to the queue `reply_to`, page by page.

    Inventory replies with one StockSnapshot per variant, then StockSnapshotsCompleted. `after` is
    the last variant of the previous page; inventory sends itself the command for the next page.
    """

    senders: ClassVar[tuple[str, ...]] = ("cart", "catalog", "feed", "inventory")
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    reply_to: str
    after: UUID | None = None
    sent: int = 0


class StockReserved(Event):
    """All lines of the order are reserved."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID
    allocations: list[Allocation]


class StockRejected(Event):
    """Nothing was reserved: stock is insufficient, or the order expired or was released."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID
    reason: Literal["insufficient", "expired", "released"]
    shortages: list[Shortage] = []


class StockReleased(Event):
    """The order has no reservation and will get none."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID


class StockEvent(Event):
    """An event of one variant's stock over all warehouses, in whole pieces."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "stock"
    subject_field: ClassVar[str] = "variant_id"

    variant_id: UUID
    product_id: UUID
    sku: str
    available: int


class StockState(StockEvent):
    """The stock of one variant; `available` = on_hand - reserved."""

    kind: ClassVar[Kind] = "event"

    on_hand: int
    reserved: int
    availability: Literal["in_stock", "low_stock", "out_of_stock"]


class StockChanged(StockState):
    """The stock on hand or reserved changed; `available` = on_hand - reserved."""


class StockSnapshot(Snapshot, StockState):
    """The current stock of one variant, sent on request to one queue."""


class StockSnapshotsCompleted(Snapshot):
    """The stock of every variant that existed at the time of the request has been sent."""

    aggregate: ClassVar[str] = "snapshot"
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    sent: int


class StockRanLow(StockEvent):
    """The available stock fell to the threshold or below it."""

    threshold: int


class StockRanOut(StockEvent):
    """The last available piece was reserved or removed."""


class StockCameBack(StockEvent):
    """A variant that was out of stock is available again."""
