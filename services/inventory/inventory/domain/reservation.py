"""A reservation: what one order holds, in which state, and what it was answered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import NotFound
from chassis.model import Stamped
from contracts.inventory import Allocation, Shortage, StockRejected, StockReserved
from contracts.message import Event
from inventory.domain.model import Base, one_of

State = Literal["held", "committed", "released", "fulfilled", "rejected"]
Rejection = Literal["insufficient", "expired", "released"]
RecordedEvent = TypeVar("RecordedEvent", bound=Event)

LIVE: frozenset[str] = frozenset({"held", "committed"})


class ReservationUnknown(NotFound):
    """No order with this id ever asked for stock."""

    code = "reservation_unknown"


class Reservation(Stamped, Base):
    """What an order was promised.

    `released` without allocations is a tombstone: the order was called off before its reservation
    arrived, which is then refused.
    """

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint(
            one_of("state", "held", "committed", "released", "fulfilled", "rejected"), name="state"
        ),
        CheckConstraint(one_of("rejection", "insufficient", "expired"), name="rejection"),
        CheckConstraint("(state = 'rejected') = (rejection is not null)", name="rejected_for"),
        Index("ix_reservations_state", "state", "created_at", "order_id"),
        Index("ix_reservations_created_at", "created_at", "order_id"),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    rejection: Mapped[str | None]
    shortages: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    sequence: Mapped[int]


class AllocatedLine(Stamped, Base):
    """Pieces of one order line promised from one warehouse; `deducted` of them have left it."""

    __tablename__ = "allocations"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("0 <= deducted and deducted <= quantity", name="deducted"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("reservations.order_id"), primary_key=True)
    line_id: Mapped[UUID] = mapped_column(primary_key=True)
    warehouse_id: Mapped[UUID] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID]
    seller_id: Mapped[UUID | None]
    quantity: Mapped[int]
    deducted: Mapped[int] = mapped_column(server_default="0")


class StockOperation(Base):
    """A hand-over (by shipment id) or a restock (by operation id) that had its effect."""

    __tablename__ = "stock_operations"
    __table_args__ = (Index("ix_stock_operations_order_id", "order_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(slots=True)
class HeldLine:
    """An allocated line as locked. `is_new` and `is_changed` say what the store must write."""

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


@dataclass(slots=True)
class Hold:
    """A reservation as locked, with its lines; it is written when it differs from `stored`."""

    order_id: UUID
    state: State
    rejection: Rejection | None = None
    shortages: list[Shortage] = field(default_factory=list)
    sequence: int = 0
    lines: list[HeldLine] = field(default_factory=list)
    stored: tuple[State, int] | None = None

    @property
    def is_live(self) -> bool:
        """Whether pieces not yet handed over are still promised to the order."""
        return self.state in LIVE

    @property
    def is_stale(self) -> bool:
        """Whether the stored row says something else."""
        return self.stored != (self.state, self.sequence)

    def record(self, event: RecordedEvent) -> RecordedEvent:
        """Give an event of this reservation its number; the row must be locked or new."""
        self.sequence += 1
        return event.with_sequence(self.sequence)

    def promise(self, allocations: list[Allocation]) -> None:
        """Hold these pieces for the order."""
        self.state = "held"
        self.lines = [
            HeldLine(a.line_id, a.warehouse_id, a.variant_id, a.seller_id, a.quantity, is_new=True)
            for a in allocations
        ]

    def reject(self, reason: Rejection, shortages: list[Shortage]) -> None:
        """Hold nothing, now and whenever this order asks again."""
        self.state, self.rejection, self.shortages = "rejected", reason, shortages

    def outcome(self) -> StockReserved | StockRejected:
        """Answer the order's wish, the first time and every time."""
        if self.state == "rejected" and self.rejection is not None:
            return self.record(
                StockRejected(
                    order_id=self.order_id, reason=self.rejection, shortages=self.shortages
                )
            )
        if self.state == "released":
            return self.record(StockRejected(order_id=self.order_id, reason="released"))
        allocations = [
            Allocation(
                line_id=line.line_id,
                variant_id=line.variant_id,
                warehouse_id=line.warehouse_id,
                seller_id=line.seller_id,
                quantity=line.quantity,
            )
            for line in self.lines
        ]
        return self.record(StockReserved(order_id=self.order_id, allocations=allocations))
