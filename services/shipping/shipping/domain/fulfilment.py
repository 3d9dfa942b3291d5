"""Fulfilments: whether and how an order's pieces were made into parcels."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.ids import new_id
from chassis.model import Stamped
from contracts.shipping import CreateShipments, Parcel, ShippedLine
from shipping.domain.tables import Base, one_of

Offered = Mapping[UUID, tuple[str, bool]]
"""Per shipping method its provider's code, and whether it can be used."""


class Fulfilment(Stamped, Base):
    """What was decided for one order; `sequence` numbers what is said of it.

    A row that is `cancelled` without parcels is a tombstone: the order was called off before the
    command to make parcels arrived.
    """

    __tablename__ = "fulfilments"
    __table_args__ = (
        CheckConstraint(one_of("status", "created", "impossible", "cancelled"), name="status"),
        CheckConstraint("(reason is not null) = (status = 'impossible')", name="reason"),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(50))
    sequence: Mapped[int]


def refusal(command: CreateShipments, offered: Offered, now: datetime) -> str | None:
    """Why the order cannot be made into parcels, or None."""
    if command.is_expired(now):
        return "expired"
    if command.shipping_method_id not in offered:
        return "unknown_method"
    if not offered[command.shipping_method_id][1]:
        return "inactive_method"
    return None if command.allocations else "nothing_to_send"


def lines_of(command: CreateShipments) -> list[ShippedLine]:
    """Every piece the command speaks of."""
    return [
        ShippedLine(line_id=each.line_id, variant_id=each.variant_id, quantity=each.quantity)
        for each in command.allocations
    ]


def parcels_of(command: CreateShipments) -> list[Parcel]:
    """One parcel per seller and warehouse, in the order of the allocations."""
    packed: dict[tuple[UUID | None, UUID], list[ShippedLine]] = {}
    for each, line in zip(command.allocations, lines_of(command), strict=True):
        packed.setdefault((each.seller_id, each.warehouse_id), []).append(line)
    return [
        Parcel(shipment_id=new_id(), seller_id=seller, warehouse_id=warehouse, lines=lines)
        for (seller, warehouse), lines in packed.items()
    ]


def rows_of(
    command: CreateShipments, parcels: Sequence[Parcel], provider: str, now: datetime
) -> list[dict[str, Any]]:
    """Make the parcels' rows, with shares of the charges and the earliest day to send."""
    ship_to = command.ship_to.model_dump()
    scheduled_for = command.placed_at + timedelta(days=max(command.lead_time_days, 0))
    amounts = shares(command.shipping.amount, len(parcels))
    collects = shares(command.collect.amount if command.collect else 0, len(parcels))
    return [
        {
            "id": parcel.shipment_id,
            "order_id": command.order_id,
            "order_number": command.order_number,
            "customer_id": command.customer_id,
            "access_hash": command.access_hash,
            "seller_id": parcel.seller_id,
            "warehouse_id": parcel.warehouse_id,
            "ship_to": ship_to,
            "shipping_method_id": command.shipping_method_id,
            "provider": provider,
            "currency": command.shipping.currency,
            "amount": amount,
            "collect_amount": collect,
            "placed_at": command.placed_at,
            "scheduled_for": scheduled_for,
            "status": "pending",
            "status_at": now,
            "lines": [line.model_dump(mode="json") for line in parcel.lines],
        }
        for parcel, amount, collect in zip(parcels, amounts, collects, strict=True)
    ]


def shares(amount: int, count: int) -> list[int]:
    """Split minor units evenly; the first ones bear what cannot be split."""
    each, rest = divmod(amount, count)
    return [each + (place < rest) for place in range(count)]
