"""Shipments: the decision for each order, one shipment per parcel, and the tracking of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, get_args
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
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.ids import new_id
from chassis.model import RETENTION, Aggregate, Pruned, Retained, check_in
from contracts.shipping import (
    CreateShipments,
    Milestone,
    Parcel,
    ShipmentHandedOver,
    ShipmentStatus,
    ShipmentUpdated,
    ShippedLine,
)
from shipping.domain.methods import Base

STATUSES: Final[tuple[ShipmentStatus, ...]] = get_args(ShipmentStatus)
FINAL_STATUSES: Final = ("delivered", "returned", "cancelled")
MILESTONES: Final[tuple[Milestone, ...]] = get_args(Milestone)

# A carrier that reports any of these has the parcel, even if its first report was lost.
HANDED_OVER_BY: Final = frozenset(MILESTONES[2:])

# fmt: off
TRANSITIONS: Final[dict[str, dict[str, str]]] = {
    # status               milestone and next status
    "pending":          {"order_received": "scheduled", "packed": "packed", "shipped": "in_transit",
                         "in_transit": "in_transit", "out_for_delivery": "out_for_delivery",
                         "delivered": "delivered", "failed": "failed"},
    "scheduled":        {"packed": "packed", "shipped": "in_transit", "in_transit": "in_transit",
                         "out_for_delivery": "out_for_delivery", "delivered": "delivered",
                         "failed": "failed"},
    "packed":           {"shipped": "in_transit", "in_transit": "in_transit",
                         "out_for_delivery": "out_for_delivery", "delivered": "delivered",
                         "failed": "failed"},
    "in_transit":       {"out_for_delivery": "out_for_delivery", "delivered": "delivered",
                         "failed": "failed"},
    "out_for_delivery": {"delivered": "delivered", "failed": "failed"},
    "failed":           {"in_transit": "in_transit", "out_for_delivery": "out_for_delivery",
                         "delivered": "delivered"},
}
# fmt: on

# A failed attempt and the next one undo each other, so that the later one in time decides.
ORDERED_BY_TIME: Final = frozenset(
    {
        ("in_transit", "failed"),
        ("out_for_delivery", "failed"),
        ("failed", "in_transit"),
        ("failed", "out_for_delivery"),
    }
)

FULFILMENTS: Final = Table(
    "fulfilments",
    Base.metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("operation_id", Uuid, nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", String(50)),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    Column("updated_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    CheckConstraint(check_in("status", ("created", "impossible", "cancelled")), name="status"),
    CheckConstraint("(reason is not null) = (status = 'impossible')", name="reason"),
    info={RETENTION: Retained("a repeated or late command finds the decision on its order")},
)


class MethodAvailability(NamedTuple):
    """The code of a method's provider, and whether both are active."""

    provider: str
    is_active: bool


class ShipmentClosed(Refused):
    """The shipment is cancelled and can no longer change."""

    code = "shipment_cancelled"


@dataclass(slots=True, kw_only=True)
class Fulfilment:
    """The decision for one order; `sequence` is the number of the last answer.

    One that is `cancelled` without shipments is a tombstone: the cancellation arrived before the
    command to create shipments.
    """

    order_id: UUID
    operation_id: UUID
    status: str
    reason: str | None = None
    sequence: int = 1
    is_new: bool = False
    is_changed: bool = False

    def next_sequence(self) -> int:
        """The number of the next answer."""
        self.sequence += 1
        return self.sequence

    def decide(self, operation_id: UUID, status: str, reason: str | None = None) -> None:
        """Replace an earlier decision."""
        self.operation_id, self.status, self.reason = operation_id, status, reason
        self.is_changed = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A milestone of a parcel, reported by a carrier or by staff; `occurred_at` in UTC."""

    milestone: Milestone
    occurred_at: datetime
    location: str | None = None
    remarks: str | None = None
    tracking_number: str | None = None
    carrier: str | None = None


class Shipment(Aggregate, Base):
    """One parcel. `lines` are the whole pieces in it, immutable and always read with it.

    `amount` is its share of the shipping charge, `collect_amount` what the carrier collects at the
    door, in minor units. `status_at` is when the event occurred that set the status.
    """

    __tablename__ = "shipments"
    __retention__ = Retained("the proof of delivery, and part of the sales record")
    __table_args__ = (
        CheckConstraint(check_in("status", STATUSES), name="status"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("collect_amount >= 0", name="collect_amount"),
        CheckConstraint("scheduled_for >= placed_at", name="scheduled_for"),
        CheckConstraint("jsonb_array_length(lines) > 0", name="lines"),
        CheckConstraint(
            "(shipped_at is null) = (status in ('pending', 'scheduled', 'packed', 'cancelled'))",
            name="shipped_at",
        ),
        CheckConstraint("status <> 'delivered' or delivered_at is not null", name="delivered_at"),
        Index(
            "uq_shipments_tracking_number",
            "provider",
            "tracking_number",
            unique=True,
            postgresql_where=text("tracking_number is not null"),
        ),
        Index("ix_shipments_status", "status", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("fulfilments.order_id"), index=True)
    order_number: Mapped[str] = mapped_column(String(20))
    customer_id: Mapped[UUID | None] = mapped_column(index=True)
    access_hash: Mapped[str | None] = mapped_column(String(64))
    seller_id: Mapped[UUID | None]
    warehouse_id: Mapped[UUID]
    ship_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # No foreign key: each new shipment would lock the one row of a popular method.
    shipping_method_id: Mapped[UUID]
    provider: Mapped[str] = mapped_column(String(50))
    carrier: Mapped[str | None] = mapped_column(String(100))
    tracking_number: Mapped[str | None] = mapped_column(String(100))
    currency: Mapped[str] = mapped_column(CHAR(3))
    amount: Mapped[int]
    collect_amount: Mapped[int]
    placed_at: Mapped[datetime]
    scheduled_for: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(20))
    status_at: Mapped[datetime]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)

    def shipped_lines(self) -> list[ShippedLine]:
        return [ShippedLine.model_validate(line) for line in self.lines]

    @property
    def was_handed_over(self) -> bool:
        """Whether the carrier has, or had, the parcel."""
        return self.shipped_at is not None

    def cancel(self, now: datetime) -> None:
        """Cancel a shipment that was not handed over."""
        self.status, self.status_at = "cancelled", now
        self.touch()

    def track(self, report: Report, open_others: int) -> list[ShipmentHandedOver | ShipmentUpdated]:
        """Apply a report and return the events; raises ShipmentClosed for a cancelled shipment.

        A late report never moves a newer status back, but is published all the same. `open_others`
        counts the order's other shipments without a final status.
        """
        if self.status == "cancelled":
            raise ShipmentClosed
        self.carrier = report.carrier or self.carrier
        self.tracking_number = report.tracking_number or self.tracking_number
        events: list[ShipmentHandedOver | ShipmentUpdated] = []
        if report.milestone in HANDED_OVER_BY and not self.was_handed_over:
            self.shipped_at = report.occurred_at
            events.append(self.record(self._handed_over(report.occurred_at)))
        collects = self.collect_amount > 0
        status = next_status(self.status, report, since=self.status_at, collects=collects)
        if status != self.status:
            self.status, self.status_at = status, report.occurred_at
            self.delivered_at = report.occurred_at if status == "delivered" else None
        elif report.milestone == status:
            self.status_at = max(self.status_at, report.occurred_at)
        self.touch()
        open_shipments = open_others + (self.status not in FINAL_STATUSES)
        return [*events, self.record(self._updated(report, open_shipments))]

    def _handed_over(self, at: datetime) -> ShipmentHandedOver:
        return ShipmentHandedOver(
            shipment_id=self.id,
            order_id=self.order_id,
            warehouse_id=self.warehouse_id,
            lines=self.shipped_lines(),
            handed_over_at=at,
        )

    def _updated(self, report: Report, open_shipments: int) -> ShipmentUpdated:
        return ShipmentUpdated.model_validate(
            {
                "shipment_id": self.id,
                "order_id": self.order_id,
                "status": self.status,
                "milestone": report.milestone,
                "carrier": self.carrier,
                "tracking_number": self.tracking_number,
                "location": report.location,
                "occurred_at": report.occurred_at,
                "open_shipments": open_shipments,
            }
        )


class TrackingEvent(Base):
    """A stored report; a repeat of the same milestone at the same time is ignored."""

    __tablename__ = "tracking_events"
    __retention__ = Pruned(
        days=540,
        by="id",
        where="exists (select from shipments s where s.id = tracking_events.shipment_id "
        f"and {check_in('s.status', FINAL_STATUSES)} and s.updated_at < :cutoff)",
        unless="the parcel is under way, or changed in that time",
        least=30,
    )
    __table_args__ = (
        CheckConstraint(check_in("type", MILESTONES), name="type"),
        UniqueConstraint("shipment_id", "type", "occurred_at"),
        UniqueConstraint("source", "external_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    shipment_id: Mapped[UUID] = mapped_column(ForeignKey("shipments.id"))
    type: Mapped[str] = mapped_column(String(20))
    location: Mapped[str | None] = mapped_column(String(200))
    remarks: Mapped[str | None] = mapped_column(String(500))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    source: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def next_status(status: str, report: Report, since: datetime, *, collects: bool) -> str:
    """The status after a report; unchanged if the report is late or has no transition.

    A parcel that collects payment at the door stays `failed`: its order is being cancelled.
    """
    if collects and status == "failed":
        return status
    if (status, report.milestone) in ORDERED_BY_TIME and report.occurred_at < since:
        return status
    return TRANSITIONS.get(status, {}).get(report.milestone, status)


def rejection_reason(
    command: CreateShipments, methods: Mapping[UUID, MethodAvailability], now: datetime
) -> str | None:
    """Why the order cannot be shipped; None if it can. `methods` are those that exist."""
    if command.is_expired(now):
        return "expired"
    if command.shipping_method_id not in methods:
        return "unknown_method"
    if not methods[command.shipping_method_id].is_active:
        return "inactive_method"
    return None if command.allocations else "nothing_to_send"


def lines_of(command: CreateShipments) -> list[ShippedLine]:
    """All pieces of the command, in the order of its allocations."""
    return [
        ShippedLine(line_id=each.line_id, variant_id=each.variant_id, quantity=each.quantity)
        for each in command.allocations
    ]


def group_into_parcels(command: CreateShipments) -> list[Parcel]:
    """One parcel per seller and warehouse, in the order of the allocations."""
    grouped: dict[tuple[UUID | None, UUID], list[ShippedLine]] = {}
    for each, line in zip(command.allocations, lines_of(command), strict=True):
        grouped.setdefault((each.seller_id, each.warehouse_id), []).append(line)
    return [
        Parcel(shipment_id=new_id(), seller_id=seller, warehouse_id=warehouse, lines=lines)
        for (seller, warehouse), lines in grouped.items()
    ]


def build_shipments(
    command: CreateShipments, parcels: Sequence[Parcel], provider: str, now: datetime
) -> list[Shipment]:
    """The shipments of the parcels, with shares of the charges and the earliest dispatch date."""
    ship_to = command.ship_to.model_dump()
    scheduled_for = command.placed_at + timedelta(days=max(command.lead_time_days, 0))
    amounts = split_evenly(command.shipping.amount, len(parcels))
    collects = split_evenly(command.collect.amount if command.collect else 0, len(parcels))
    return [
        Shipment(
            id=parcel.shipment_id,
            order_id=command.order_id,
            order_number=command.order_number,
            customer_id=command.customer_id,
            access_hash=command.access_hash,
            seller_id=parcel.seller_id,
            warehouse_id=parcel.warehouse_id,
            ship_to=ship_to,
            shipping_method_id=command.shipping_method_id,
            provider=provider,
            currency=command.shipping.currency,
            amount=amount,
            collect_amount=collect,
            placed_at=command.placed_at,
            scheduled_for=scheduled_for,
            status="pending",
            status_at=now,
            lines=[line.model_dump(mode="json") for line in parcel.lines],
        )
        for parcel, amount, collect in zip(parcels, amounts, collects, strict=True)
    ]


def split_evenly(amount: int, count: int) -> list[int]:
    """Split minor units; the first shares are one larger where the amount does not divide."""
    each, rest = divmod(amount, count)
    return [each + (place < rest) for place in range(count)]
