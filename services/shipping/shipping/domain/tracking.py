"""Tracking: what is reported of a parcel on its way, and which report moves its status."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from contracts.shipping import Milestone
from shipping.domain.tables import Base, one_of

MILESTONES: Final = (
    "order_received",
    "packed",
    "shipped",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "failed",
)

# A carrier that reports any of these has the parcel, even when its first report was lost.
HANDED_OVER_BY: Final = frozenset(MILESTONES[2:])

# fmt: off
MOVES: Final[dict[str, dict[str, str]]] = {
    # while it is         and it is reported as ... it becomes
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

# A failed attempt and the next one undo each other, so there the later one in time is right.
BY_TIME: Final = frozenset(
    {
        ("in_transit", "failed"),
        ("out_for_delivery", "failed"),
        ("failed", "in_transit"),
        ("failed", "out_for_delivery"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What somebody says happened to a parcel, and when it did."""

    milestone: Milestone
    occurred_at: datetime
    location: str | None = None
    remarks: str | None = None
    tracking_number: str | None = None
    carrier: str | None = None


def moved(status: str, report: Report, since: datetime, *, collects: bool) -> str:
    """Find the status after a report; the same when the report is late or changes nothing.

    A parcel to be paid at the door that was not accepted stays so: its order is being undone.
    """
    if collects and status == "failed":
        return status
    becomes = MOVES.get(status, {}).get(report.milestone, status)
    if (status, report.milestone) in BY_TIME and report.occurred_at < since:
        return status
    return becomes


class TrackingEvent(Base):
    """A report as it was recorded; the same milestone of the same moment again is no news."""

    __tablename__ = "tracking_events"
    __table_args__ = (
        CheckConstraint(one_of("type", *MILESTONES), name="type"),
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
