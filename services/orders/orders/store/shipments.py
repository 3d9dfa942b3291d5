"""What orders stores of its parcels."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.rows import RowArrays
from contracts.shipping import Parcel, ShipmentHandedOver, ShipmentUpdated, ShippedLine
from orders.domain.order import shipment_table
from orders.domain.parcels import LEFT

_NEW: Final = RowArrays(shipment_table, ["shipment_id", "order_id", "status"])
_INSERT: Final = Sql(f"{_NEW.insert()} on conflict do nothing")
_SHIPPED: Final = Sql(
    "update order_lines set quantity_shipped = least(quantity, quantity_shipped + new.pieces) "
    "from unnest(cast(:ids as uuid[]), cast(:pieces as bigint[])) as new(id, pieces) "
    "where order_lines.id = new.id"
)


async def insert_parcels(
    tx: AsyncSession,
    parcels: Sequence[tuple[UUID, Sequence[Parcel]]],
    recalled: Collection[UUID],
) -> None:
    """Store new parcels; one that an earlier event has stored is left as it is.

    In the orders of `recalled`, every parcel that is not known to have left was cancelled.
    """
    rows = [
        {
            "shipment_id": parcel.shipment_id,
            "order_id": order_id,
            "status": "cancelled" if order_id in recalled else "pending",
        }
        for order_id, some in parcels
        for parcel in some
    ]
    await driver.execute(tx, _INSERT, _NEW.parameters(rows))


async def hand_over(tx: AsyncSession, event: ShipmentHandedOver) -> bool:
    """Mark a parcel as handed over; returns whether it was not yet."""
    row = insert(shipment_table).values(
        shipment_id=event.shipment_id,
        order_id=event.order_id,
        status="in_transit",
        handed_over=True,
    )
    status = shipment_table.c.status
    marked = await tx.execute(
        row.on_conflict_do_update(
            index_elements=["shipment_id"],
            set_={
                "handed_over": True,
                "status": case((status.in_(LEFT), status), else_="in_transit"),
            },
            where=shipment_table.c.handed_over.is_(False),
        ).returning(shipment_table.c.shipment_id)
    )
    if marked.first() is None:
        return False
    await _count_shipped(tx, event.lines)
    return True


async def _count_shipped(tx: AsyncSession, lines: Sequence[ShippedLine]) -> None:
    pieces: dict[UUID, int] = {}
    for line in lines:
        pieces[line.line_id] = pieces.get(line.line_id, 0) + line.quantity
    await driver.execute(tx, _SHIPPED, {"ids": list(pieces), "pieces": list(pieces.values())})


async def upsert_status(tx: AsyncSession, event: ShipmentUpdated, status: str) -> bool:
    """Store a parcel's state if it is newer; returns whether it was."""
    row = insert(shipment_table).values(
        shipment_id=event.shipment_id,
        order_id=event.order_id,
        status=status,
        carrier=event.carrier,
        tracking_number=event.tracking_number,
        sequence=event.sequence,
    )
    new, stored = row.excluded, shipment_table.c
    done = await tx.execute(
        row.on_conflict_do_update(
            index_elements=["shipment_id"],
            set_={
                "status": new.status,
                "carrier": func.coalesce(new.carrier, stored.carrier),
                "tracking_number": func.coalesce(new.tracking_number, stored.tracking_number),
                "sequence": new.sequence,
            },
            where=stored.sequence < new.sequence,
        ).returning(stored.shipment_id)
    )
    return done.first() is not None


async def list_statuses(tx: AsyncSession, order_id: UUID) -> Sequence[str]:
    query = select(shipment_table.c.status).where(shipment_table.c.order_id == order_id)
    return (await tx.scalars(query)).all()


async def cancel_open(tx: AsyncSession, order_id: UUID) -> None:
    """Cancel the parcels of an order that are not known to have left."""
    await tx.execute(
        update(shipment_table)
        .where(
            shipment_table.c.order_id == order_id,
            shipment_table.c.handed_over.is_(False),
            shipment_table.c.status.not_in(LEFT),
        )
        .values(status="cancelled")
    )
