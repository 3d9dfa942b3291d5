"""Reservations, and the locked stock from which orders are served."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar, get_args
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, String, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import NotFound
from chassis.model import RETENTION, Retained, check_in
from contracts.inventory import (
    Allocation,
    Shortage,
    StockEvent,
    StockRejected,
    StockReserved,
    WantedLine,
)
from contracts.message import Event
from inventory.domain.stock import (
    DEFAULT_THRESHOLD,
    MAX_PIECES,
    Base,
    BelowReserved,
    MovementReason,
    Operation,
    StockItem,
    StockItemUnknown,
    StockLevel,
    StockMovement,
    TooManyPieces,
    VariantUnknown,
    created_at,
    updated_at,
)

State = Literal["held", "committed", "released", "fulfilled", "rejected"]
Rejection = Literal["insufficient", "expired", "released"]
RecordedEvent = TypeVar("RecordedEvent", bound=Event)

LIVE: Final[frozenset[State]] = frozenset({"held", "committed"})


class ReservationUnknown(NotFound):
    """No order with this id ever requested stock."""

    code = "reservation_unknown"


# A `released` row without allocations is a tombstone: the order was cancelled before its
# reservation arrived, which is then rejected.
reservations = Table(
    "reservations",
    Base.metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("state", String, nullable=False),
    Column("rejection", String),
    Column("shortages", JSONB(none_as_null=True)),
    Column("sequence", BigInteger, nullable=False),
    created_at(),
    updated_at(),
    CheckConstraint(check_in("state", get_args(State)), name="state"),
    CheckConstraint(check_in("rejection", ("insufficient", "expired")), name="rejection"),
    CheckConstraint("(state = 'rejected') = (rejection is not null)", name="rejected_for"),
    Index("ix_reservations_state", "state", "created_at", "order_id"),
    Index("ix_reservations_created_at", "created_at", "order_id"),
    info={RETENTION: Retained("a repeated or late command finds the decision on its order")},
)

allocations = Table(
    "allocations",
    Base.metadata,
    Column("order_id", Uuid, ForeignKey("reservations.order_id"), primary_key=True),
    Column("line_id", Uuid, primary_key=True),
    Column("warehouse_id", Uuid, primary_key=True),
    Column("variant_id", Uuid, nullable=False),
    Column("seller_id", Uuid),
    Column("quantity", BigInteger, nullable=False),
    Column("deducted", BigInteger, nullable=False, server_default="0"),
    created_at(),
    updated_at(),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("0 <= deducted and deducted <= quantity", name="deducted"),
    info={RETENTION: Retained("returns find the warehouse and seller of each piece")},
)

# Hand-overs (by shipment id) and restocks (by operation id) that were applied.
stock_operations = Table(
    "stock_operations",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    created_at(),
    Index("ix_stock_operations_order_id", "order_id"),
    info={RETENTION: Retained("a repeated hand-over or restock finds that it was applied")},
)


@dataclass(slots=True)
class AllocatedLine:
    """Pieces of an order line reserved in one warehouse; `deducted` of them have left it."""

    order_id: UUID
    line_id: UUID
    warehouse_id: UUID
    variant_id: UUID
    seller_id: UUID | None
    quantity: int
    deducted: int = 0
    is_new: bool = False
    is_changed: bool = False

    @property
    def remaining(self) -> int:
        """Pieces still in the warehouse."""
        return self.quantity - self.deducted

    def deduct(self, pieces: int) -> None:
        """Record that some of the pieces left the warehouse."""
        self.deducted += pieces
        self.is_changed = True


@dataclass(slots=True)
class Reservation:
    """What an order holds; `stored` is the state and sequence of the row as locked."""

    order_id: UUID
    state: State
    rejection: Rejection | None = None
    shortages: list[Shortage] = field(default_factory=list)
    sequence: int = 0
    lines: list[AllocatedLine] = field(default_factory=list)
    stored: tuple[State, int] | None = None

    @property
    def is_live(self) -> bool:
        """Whether the order still holds pieces that were not handed over."""
        return self.state in LIVE

    @property
    def is_changed(self) -> bool:
        """Whether the row must be written."""
        return self.stored != (self.state, self.sequence)

    def record(self, event: RecordedEvent) -> RecordedEvent:
        """Number an event of this reservation; the row must be locked or new."""
        self.sequence += 1
        return event.with_sequence(self.sequence)

    def hold(self, allocated: Iterable[Allocation]) -> None:
        """Hold these pieces for the order."""
        self.state = "held"
        self.lines = [
            AllocatedLine(order_id=self.order_id, **dict(each), is_new=True) for each in allocated
        ]

    def reject(self, reason: Rejection, shortages: list[Shortage]) -> None:
        """Hold nothing, and give the same answer to each repeat."""
        self.state, self.rejection, self.shortages = "rejected", reason, shortages

    def outcome(self) -> StockReserved | StockRejected:
        """The answer to `ReserveStock`; a repeat gets the same one with the next number."""
        if self.state == "rejected" and self.rejection is not None:
            return self.record(
                StockRejected(
                    order_id=self.order_id, reason=self.rejection, shortages=self.shortages
                )
            )
        if self.state == "released":
            return self.record(StockRejected(order_id=self.order_id, reason="released"))
        allocated = [
            Allocation(
                line_id=line.line_id,
                variant_id=line.variant_id,
                warehouse_id=line.warehouse_id,
                seller_id=line.seller_id,
                quantity=line.quantity,
            )
            for line in self.lines
        ]
        return self.record(StockReserved(order_id=self.order_id, allocations=allocated))


@dataclass(slots=True)
class LockedStock:
    """The locked stock of some variants: one set of rules for orders, parcels and staff.

    levels: by variant. items: by variant, in the order in which their warehouses are emptied.
    movements: what this transaction moved.
    """

    levels: dict[UUID, StockLevel]
    items: dict[UUID, list[StockItem]]
    movements: list[StockMovement] = field(default_factory=list)

    def level(self, variant_id: UUID) -> StockLevel:
        """The variant's level; raises VariantUnknown."""
        try:
            return self.levels[variant_id]
        except KeyError:
            raise VariantUnknown from None

    def find_item(self, variant_id: UUID, warehouse_id: UUID) -> StockItem | None:
        """The variant's item in the warehouse, or None where it was never stocked."""
        items = self.items.get(variant_id, ())
        return next((item for item in items if item.warehouse_id == warehouse_id), None)

    def item(self, variant_id: UUID, warehouse_id: UUID) -> StockItem:
        """The variant's item in the warehouse; raises StockItemUnknown."""
        item = self.find_item(variant_id, warehouse_id)
        if item is None:
            raise StockItemUnknown
        return item

    def add_stock_item(self, variant_id: UUID, warehouse_id: UUID, *, is_active: bool) -> StockItem:
        """Stock the variant in a warehouse from now on, with no pieces yet."""
        item = StockItem(
            variant_id, warehouse_id, is_active, 0, 0, DEFAULT_THRESHOLD, 1, is_new=True
        )
        self.items.setdefault(variant_id, []).append(item)
        return item

    def available(self, variant_id: UUID) -> int:
        """Pieces of the variant that can be reserved."""
        return sum(item.available for item in self.items.get(variant_id, ()) if item.is_active)

    def shortages(self, lines: Iterable[WantedLine]) -> list[Shortage]:
        """The variants of which the lines together want more than is available.

        Raises ValueError for a line of no pieces: such an order must not exist.
        """
        wanted: dict[UUID, int] = {}
        for line in lines:
            if line.quantity < 1:
                raise ValueError(f"line {line.line_id} wants {line.quantity} pieces")
            wanted[line.variant_id] = wanted.get(line.variant_id, 0) + line.quantity
        return [
            Shortage(variant_id=variant_id, wanted=pieces, available=available)
            for variant_id, pieces in wanted.items()
            if pieces > (available := self.available(variant_id))
        ]

    def reserve(self, order_id: UUID, lines: Iterable[WantedLine]) -> list[Allocation]:
        """Reserve all lines, warehouse after warehouse; there must be no shortages."""
        because = MovementReason("reserved for the order", "order", order_id)
        allocated = []
        for line in lines:
            for item, pieces in self._picks(line):
                self.movements.append(item.move("reserve", "reserved", pieces, because))
                allocated.append(
                    Allocation(
                        line_id=line.line_id,
                        variant_id=line.variant_id,
                        warehouse_id=item.warehouse_id,
                        seller_id=self.levels[line.variant_id].seller_id,
                        quantity=pieces,
                    )
                )
        return allocated

    def _picks(self, line: WantedLine) -> Iterable[tuple[StockItem, int]]:
        """The items that serve a line, each with its number of pieces."""
        missing = line.quantity
        for item in self.items[line.variant_id]:
            taken = min(missing, item.available) if item.is_active else 0
            if taken > 0:
                missing -= taken
                yield item, taken
        if missing:
            raise ValueError(f"{missing} pieces too few were left for line {line.line_id}")

    def release(self, item: StockItem, pieces: int, order_id: UUID) -> None:
        """Make reserved pieces available again."""
        because = MovementReason("released", "order", order_id)
        self.movements.append(item.move("release", "reserved", -pieces, because))

    def deduct(self, item: StockItem, pieces: int, order_id: UUID, *, are_reserved: bool) -> None:
        """Take pieces that left the warehouse off the item, and off its reserved pieces.

        Without `are_reserved` the order released them before the hand-over arrived.
        Raises BelowReserved when another order has reserved the pieces meanwhile.
        """
        because = MovementReason("handed over to the carrier", "order", order_id)
        if not are_reserved and pieces > item.available:
            raise BelowReserved
        self.movements.append(item.move("deduct", "on_hand", -pieces, because))
        if are_reserved:
            self.movements.append(item.move("deduct", "reserved", -pieces, because))

    def restock(self, item: StockItem, pieces: int, because: MovementReason) -> None:
        """Add pieces that came back."""
        self.movements.append(item.move("restock", "on_hand", pieces, because))

    def count(self, item: StockItem, on_hand: int, because: MovementReason) -> None:
        """Set the pieces on hand to what staff counted; raises BelowReserved, TooManyPieces."""
        self._change_on_hand(item, "set", on_hand - item.on_hand, because)

    def adjust(self, item: StockItem, adjustment: int, because: MovementReason) -> None:
        """Add or remove pieces; raises BelowReserved, TooManyPieces."""
        self._change_on_hand(item, "adjust", adjustment, because)

    def _change_on_hand(
        self, item: StockItem, operation: Operation, change: int, because: MovementReason
    ) -> None:
        if item.on_hand + change < item.reserved:
            raise BelowReserved(reserved=item.reserved, variant_id=str(item.variant_id))
        if item.on_hand + change > MAX_PIECES:
            raise TooManyPieces
        if change:
            self.movements.append(item.move(operation, "on_hand", change, because))

    def update_levels(self) -> dict[UUID, list[StockEvent]]:
        """Bring the levels up to date with their items; returns the events, by variant."""
        events = {
            variant_id: level.update_from(self.items.get(variant_id, ()))
            for variant_id, level in self.levels.items()
        }
        return {variant_id: each for variant_id, each in events.items() if each}
