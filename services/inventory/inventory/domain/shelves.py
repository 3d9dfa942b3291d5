"""Locked stock and everything that may be done with it, as rules without I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from chassis.ids import new_id
from contracts.inventory import (
    Allocation,
    Shortage,
    StockEvent,
    WantedLine,
)
from inventory.domain.level import Level
from inventory.domain.model import MOST_PIECES
from inventory.domain.stock import (
    DEFAULT_THRESHOLD,
    BelowReserved,
    Bucket,
    Operation,
    ReferenceType,
    StockItemUnknown,
    TooManyPieces,
    VariantUnknown,
)


@dataclass(frozen=True, slots=True)
class Because:
    """Why pieces move, and on whose word; `user_id` None for what an order brings about."""

    reason: str
    reference_type: ReferenceType
    reference_id: UUID | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of one bucket of one shelf."""

    variant_id: UUID
    warehouse_id: UUID
    operation: Operation
    bucket: Bucket
    previous: int
    new: int
    because: Because
    id: UUID = field(default_factory=new_id)


@dataclass(slots=True)
class Shelf:
    """Whole pieces of one variant in one warehouse; the `_change`s are what the store adds."""

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
    def free(self) -> int:
        """Pieces on hand that are promised to nobody."""
        return self.on_hand - self.reserved


@dataclass(slots=True)
class Stock:
    """The locked stock of some variants: one set of rules for orders, parcels and people.

    `shelves` stand in the order in which they are emptied; `movements` is what was done.
    """

    levels: dict[UUID, Level]
    shelves: dict[UUID, list[Shelf]]
    movements: list[Movement] = field(default_factory=list)

    def level(self, variant_id: UUID) -> Level:
        """Return the variant's level; raises VariantUnknown."""
        try:
            return self.levels[variant_id]
        except KeyError:
            raise VariantUnknown from None

    def find_shelf(self, variant_id: UUID, warehouse_id: UUID) -> Shelf | None:
        """Where the variant lies in the warehouse, or None if it never did."""
        shelves = self.shelves.get(variant_id, ())
        return next((shelf for shelf in shelves if shelf.warehouse_id == warehouse_id), None)

    def shelf(self, variant_id: UUID, warehouse_id: UUID) -> Shelf:
        """Where the variant lies in the warehouse; raises StockItemUnknown if it never did."""
        shelf = self.find_shelf(variant_id, warehouse_id)
        if shelf is None:
            raise StockItemUnknown
        return shelf

    def put_up(self, variant_id: UUID, warehouse_id: UUID, *, is_active: bool) -> Shelf:
        """Add a new, empty shelf."""
        shelf = Shelf(variant_id, warehouse_id, is_active, 0, 0, DEFAULT_THRESHOLD, 1, is_new=True)
        self.shelves.setdefault(variant_id, []).append(shelf)
        return shelf

    def available(self, variant_id: UUID) -> int:
        """Pieces of the variant that may be promised."""
        return sum(s.free for s in self.shelves.get(variant_id, ()) if s.is_active)

    def shortages(self, lines: Iterable[WantedLine]) -> list[Shortage]:
        """Name the variants of which the lines together want more than there is.

        Raises ValueError for a line that wants no pieces: such an order must not exist.
        """
        wanted: dict[UUID, int] = {}
        for line in lines:
            if line.quantity < 1:
                raise ValueError(f"line {line.line_id} asks for {line.quantity} pieces")
            wanted[line.variant_id] = wanted.get(line.variant_id, 0) + line.quantity
        return [
            Shortage(variant_id=variant_id, wanted=pieces, available=available)
            for variant_id, pieces in wanted.items()
            if pieces > (available := self.available(variant_id))
        ]

    def hold(self, order_id: UUID, lines: Iterable[WantedLine]) -> list[Allocation]:
        """Promise all lines to the order, warehouse after warehouse; there must be no shortages."""
        because = Because("reserved for the order", "order", order_id)
        return [
            self._hold(line, shelf, because, held)
            for line in lines
            for shelf, held in self._picks(line)
        ]

    def _picks(self, line: WantedLine) -> Iterable[tuple[Shelf, int]]:
        missing = line.quantity
        for shelf in self.shelves[line.variant_id]:
            taken = min(missing, shelf.free) if shelf.is_active else 0
            if taken > 0:
                missing -= taken
                yield shelf, taken
        if missing:
            raise ValueError(f"{missing} pieces too few were left for line {line.line_id}")

    def _hold(self, line: WantedLine, shelf: Shelf, because: Because, pieces: int) -> Allocation:
        self._move(shelf, "reserve", "reserved", pieces, because)
        return Allocation(
            line_id=line.line_id,
            variant_id=line.variant_id,
            warehouse_id=shelf.warehouse_id,
            seller_id=self.levels[line.variant_id].seller_id,
            quantity=pieces,
        )

    def give_back(self, shelf: Shelf, pieces: int, order_id: UUID) -> None:
        """Promise the pieces to nobody any more."""
        self._move(shelf, "release", "reserved", -pieces, Because("released", "order", order_id))

    def hand_over(self, shelf: Shelf, pieces: int, order_id: UUID, *, were_held: bool) -> None:
        """Let pieces leave the warehouse, and the promise with them.

        Without `were_held` the promise was taken back before the parcel was known to have left.
        Raises BelowReserved when the pieces are promised to another order meanwhile.
        """
        because = Because("handed over to the carrier", "order", order_id)
        if not were_held and pieces > shelf.free:
            raise BelowReserved
        self._move(shelf, "deduct", "on_hand", -pieces, because)
        if were_held:
            self._move(shelf, "deduct", "reserved", -pieces, because)

    def restock(self, shelf: Shelf, pieces: int, because: Because) -> None:
        """Put pieces that came back onto the shelf."""
        self._move(shelf, "restock", "on_hand", pieces, because)

    def count(self, shelf: Shelf, on_hand: int, because: Because) -> None:
        """Set what was counted; raises BelowReserved."""
        self._change_on_hand(shelf, "set", on_hand - shelf.on_hand, because)

    def adjust(self, shelf: Shelf, adjustment: int, because: Because) -> None:
        """Add or take away pieces; raises BelowReserved, TooManyPieces."""
        self._change_on_hand(shelf, "adjust", adjustment, because)

    def _change_on_hand(
        self, shelf: Shelf, operation: Operation, change: int, because: Because
    ) -> None:
        if shelf.on_hand + change < shelf.reserved:
            raise BelowReserved(reserved=shelf.reserved, variant_id=str(shelf.variant_id))
        if shelf.on_hand + change > MOST_PIECES:
            raise TooManyPieces
        if change:
            self._move(shelf, operation, "on_hand", change, because)

    def warn_at(self, shelf: Shelf, threshold: int) -> None:
        """Set at how many available pieces the stock counts as low."""
        if threshold != shelf.low_stock_threshold:
            shelf.low_stock_threshold = threshold
            self._mark(shelf)

    def _mark(self, shelf: Shelf) -> None:
        if not shelf.is_changed:
            shelf.is_changed = True
            shelf.version += 1

    def _move(
        self, shelf: Shelf, operation: Operation, bucket: Bucket, change: int, because: Because
    ) -> None:
        if bucket == "on_hand":
            previous = shelf.on_hand
            shelf.on_hand += change
            shelf.on_hand_change += change
            self._mark(shelf)
        else:
            previous = shelf.reserved
            shelf.reserved += change
            shelf.reserved_change += change
        self.movements.append(
            Movement(
                shelf.variant_id,
                shelf.warehouse_id,
                operation,
                bucket,
                previous,
                previous + change,
                because,
            )
        )

    def settle(self) -> dict[UUID, list[StockEvent]]:
        """Bring the levels up to what was moved; returns what to tell, by variant."""
        told = {
            variant_id: level.settle(self.shelves.get(variant_id, ()))
            for variant_id, level in self.levels.items()
        }
        return {variant_id: events for variant_id, events in told.items() if events}
