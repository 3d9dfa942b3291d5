"""What inventory obeys and says: reservations for orders, and the stock level of each variant."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Event, Kind, Part, Snapshot


class WantedLine(Part):
    """Whole pieces of one variant that an order line asks for."""

    line_id: UUID
    variant_id: UUID
    quantity: int


class Allocation(Part):
    """Whole pieces of one order line promised from one warehouse; `seller_id` None is the house."""

    line_id: UUID
    variant_id: UUID
    warehouse_id: UUID
    seller_id: UUID | None = None
    quantity: int


class Shortage(Part):
    """A variant of which fewer pieces are left than were asked for."""

    variant_id: UUID
    wanted: int
    available: int


class ReserveStock(Command):
    """Promise all lines to the order, or none. Answered by StockReserved or StockRejected."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    lines: list[WantedLine]


class ReleaseStock(Command):
    """Give back what the order holds, even before it was reserved. Answered by StockReleased."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID


class RestockUnits(Command):
    """Put pieces that came back onto their shelves."""

    senders: ClassVar[tuple[str, ...]] = ("orders",)
    order_id: UUID
    lines: list[Allocation]
    reason: str


class RequestStockSnapshots(Command):
    """Tell one asker the present stock of every variant, page by page.

    The answer is a StockSnapshot for each and a StockSnapshotsCompleted at the end, in the queue
    `reply_to`.
    `after` is the last variant of the page before; inventory asks itself for the next page.
    """

    senders: ClassVar[tuple[str, ...]] = ("cart", "catalog", "feed", "inventory")
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    reply_to: str
    after: UUID | None = None
    sent: int = 0


class StockReserved(Event):
    """All lines of the order are held for it."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID
    allocations: list[Allocation]


class StockRejected(Event):
    """Nothing was held: too little is left, the order came too late or was called off before."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID
    reason: Literal["insufficient", "expired", "released"]
    shortages: list[Shortage] = []


class StockReleased(Event):
    """Nothing is held for the order, and nothing will be."""

    aggregate: ClassVar[str] = "reservation"
    order_id: UUID


class StockEvent(Event):
    """A fact about the stock of one variant over all warehouses, in whole pieces."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "stock"
    subject_field: ClassVar[str] = "variant_id"

    variant_id: UUID
    product_id: UUID
    sku: str
    available: int


class StockState(StockEvent):
    """The pieces of one variant; `available` = on_hand - reserved."""

    kind: ClassVar[Kind] = "event"

    on_hand: int
    reserved: int
    availability: Literal["in_stock", "low_stock", "out_of_stock"]


class StockChanged(StockState):
    """The pieces on hand or promised changed; `available` = on_hand - reserved."""


class StockSnapshot(Snapshot, StockState):
    """The pieces of one variant as they are now, for one asker."""


class StockSnapshotsCompleted(Snapshot):
    """The stock of every variant there was at the time of the request has been told."""

    aggregate: ClassVar[str] = "snapshot"
    subject_field: ClassVar[str] = "request_id"
    request_id: UUID
    sent: int


class StockRanLow(StockEvent):
    """Available pieces fell to the threshold or below."""

    threshold: int


class StockRanOut(StockEvent):
    """The last available piece was promised or taken."""


class StockCameBack(StockEvent):
    """A variant that had run out is available again."""
