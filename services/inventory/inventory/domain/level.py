"""What the world is told of a variant's stock, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.inventory import (
    StockCameBack,
    StockChanged,
    StockEvent,
    StockRanLow,
    StockRanOut,
    StockSnapshot,
)
from inventory.domain.stock import Availability


class Counted(Protocol):
    """Pieces of the variant in one warehouse."""

    is_active: bool
    on_hand: int
    reserved: int
    low_stock_threshold: int


@dataclass(slots=True)
class Level:
    """A variant's pieces over its active warehouses, as last told to the world."""

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

    def settle(self, shelves: Iterable[Counted]) -> list[StockEvent]:
        """Take over what the shelves hold now, and tell what changed: at most one crossing."""
        active = [shelf for shelf in shelves if shelf.is_active]
        on_hand = sum(shelf.on_hand for shelf in active)
        reserved = sum(shelf.reserved for shelf in active)
        threshold = max(
            (shelf.low_stock_threshold for shelf in active), default=self.low_stock_threshold
        )
        availability = availability_of(on_hand - reserved, threshold)
        now = (on_hand, reserved, threshold, availability)
        if now == (self.on_hand, self.reserved, self.low_stock_threshold, self.availability):
            return []
        before, was_known = self.availability, self.sequence > 0
        self.on_hand, self.reserved, self.low_stock_threshold, self.availability = now
        self.is_changed = True
        about = {
            "variant_id": self.variant_id,
            "product_id": self.product_id,
            "sku": self.sku,
            "available": on_hand - reserved,
        }
        events: list[StockEvent] = [
            StockChanged(**about, on_hand=on_hand, reserved=reserved, availability=availability)
        ]
        if before != availability:
            if availability == "out_of_stock":
                events.append(StockRanOut(**about))
            elif before == "out_of_stock" and was_known:
                events.append(StockCameBack(**about))
            elif before == "in_stock":
                events.append(StockRanLow(**about, threshold=threshold))
        return [self._numbered(event) for event in events]

    def snapshot(self, reply_to: str) -> StockSnapshot:
        """Tell one asker the present state, which did not change."""
        return StockSnapshot(
            variant_id=self.variant_id,
            product_id=self.product_id,
            sku=self.sku,
            available=self.on_hand - self.reserved,
            on_hand=self.on_hand,
            reserved=self.reserved,
            availability=self.availability,
        ).addressed_to(reply_to, self.sequence)

    def _numbered(self, event: StockEvent) -> StockEvent:
        self.sequence += 1
        return event.with_sequence(self.sequence)


def availability_of(available: int, threshold: int) -> Availability:
    """Say what customers are told about this many pieces."""
    if available <= 0:
        return "out_of_stock"
    return "low_stock" if available <= threshold else "in_stock"
