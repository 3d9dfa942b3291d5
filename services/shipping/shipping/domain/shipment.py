"""Shipments: one parcel each, from a warehouse to the customer's door."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import Aggregate
from contracts.shipping import ShipmentHandedOver, ShipmentUpdated, ShippedLine
from shipping.domain.tables import Base, one_of
from shipping.domain.tracking import HANDED_OVER_BY, Report, moved

STATUSES = (
    "pending",
    "scheduled",
    "packed",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "failed",
    "returned",
    "cancelled",
)
ENDED = ("delivered", "returned", "cancelled")


class ShipmentClosed(Refused):
    """The parcel was cancelled; nothing can happen to it any more."""

    code = "shipment_cancelled"


class Shipment(Aggregate, Base):
    """One parcel. `lines` are the whole pieces in it, immutable and only ever read with it.

    `amount` is its share of what the customer paid for shipping, `collect_amount` what the carrier
    must collect at the door. `status_at` is when that happened which made the status what it is.
    """

    __tablename__ = "shipments"
    __table_args__ = (
        CheckConstraint(one_of("status", *STATUSES), name="status"),
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
    customer_id: Mapped[UUID | None]
    access_hash: Mapped[str | None] = mapped_column(String(64))
    seller_id: Mapped[UUID | None]
    warehouse_id: Mapped[UUID]
    ship_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # No foreign key: every parcel made would lock the one row of a popular method.
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

    def pieces(self) -> list[ShippedLine]:
        """Say what is in the parcel."""
        return [ShippedLine.model_validate(line) for line in self.lines]

    @property
    def was_handed_over(self) -> bool:
        """Whether the carrier has, or had, the parcel."""
        return self.shipped_at is not None

    def keep_back(self, now: datetime) -> None:
        """Cancel a parcel that was not handed over."""
        self.status, self.status_at = "cancelled", now
        self.touch()

    def track(self, report: Report, open_others: int) -> list[ShipmentHandedOver | ShipmentUpdated]:
        """Take in what the carrier or the warehouse reports; refuses a cancelled parcel.

        A late report never moves a newer status back; it is told all the same. `open_others` counts
        the order's other parcels that are not at their end.
        """
        if self.status == "cancelled":
            raise ShipmentClosed
        self.carrier = report.carrier or self.carrier
        self.tracking_number = report.tracking_number or self.tracking_number
        told: list[ShipmentHandedOver | ShipmentUpdated] = []
        if report.milestone in HANDED_OVER_BY and not self.was_handed_over:
            self.shipped_at = report.occurred_at
            told.append(self.record(self._handed_over(report.occurred_at)))
        collects = self.collect_amount > 0
        status = moved(self.status, report, since=self.status_at, collects=collects)
        if status != self.status:
            self.status, self.status_at = status, report.occurred_at
            self.delivered_at = report.occurred_at if status == "delivered" else None
        elif report.milestone == status:
            self.status_at = max(self.status_at, report.occurred_at)
        self.touch()
        open_shipments = open_others + (self.status not in ENDED)
        return [*told, self.record(self._updated(report, open_shipments))]

    def _handed_over(self, at: datetime) -> ShipmentHandedOver:
        return ShipmentHandedOver(
            shipment_id=self.id,
            order_id=self.order_id,
            warehouse_id=self.warehouse_id,
            lines=self.pieces(),
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
