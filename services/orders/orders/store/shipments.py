"""What orders keeps of its parcels."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.shipping import Parcel, ShipmentHandedOver, ShipmentUpdated, ShippedLine
from orders.domain.order import OrderShipment
from orders.domain.parcels import LEFT

_EXPECTED = text(
    "insert into order_shipments (shipment_id, order_id, status) "
    "select id, order_id, status from unnest(cast(:ids as uuid[]), cast(:orders as uuid[]), "
    "cast(:statuses as text[])) as new(id, order_id, status) "
    "on conflict do nothing"
)
_SHIPPED = text(
    "update order_lines set quantity_shipped = least(quantity, quantity_shipped + new.pieces) "
    "from unnest(cast(:ids as uuid[]), cast(:pieces as bigint[])) as new(id, pieces) "
    "where order_lines.id = new.id"
)


async def insert_parcels(
    tx: AsyncSession,
    parcels: Sequence[tuple[UUID, Sequence[Parcel]]],
    kept_back: Collection[UUID],
) -> None:
    """Remember new parcels; one already known, by an event that came first, is left as it is.

    Of the orders in `kept_back` every parcel that is not known to have left was cancelled before.
    """
    new = [(parcel.shipment_id, order_id) for order_id, some in parcels for parcel in some]
    await tx.execute(
        _EXPECTED,
        {
            "ids": [shipment_id for shipment_id, _ in new],
            "orders": [order_id for _, order_id in new],
            "statuses": ["cancelled" if order in kept_back else "pending" for _, order in new],
        },
    )


async def hand_over(tx: AsyncSession, event: ShipmentHandedOver) -> bool:
    """Mark a parcel as handed over; tells whether that was news."""
    known = insert(OrderShipment).values(
        shipment_id=event.shipment_id,
        order_id=event.order_id,
        status="in_transit",
        handed_over=True,
    )
    done = await tx.execute(
        known.on_conflict_do_update(
            index_elements=["shipment_id"],
            set_={
                "handed_over": True,
                "status": case(
                    (OrderShipment.status.in_(LEFT), OrderShipment.status), else_="in_transit"
                ),
            },
            where=OrderShipment.handed_over.is_(False),
        ).returning(OrderShipment.shipment_id)
    )
    if done.first() is None:
        return False
    await _count_shipped(tx, event.lines)
    return True


async def _count_shipped(tx: AsyncSession, lines: Sequence[ShippedLine]) -> None:
    pieces: dict[UUID, int] = {}
    for line in lines:
        pieces[line.line_id] = pieces.get(line.line_id, 0) + line.quantity
    await tx.execute(_SHIPPED, {"ids": list(pieces), "pieces": list(pieces.values())})


async def note_update(tx: AsyncSession, event: ShipmentUpdated, status: str) -> bool:
    """Take over a parcel's state if it is newer; tells whether it was."""
    known = insert(OrderShipment).values(
        shipment_id=event.shipment_id,
        order_id=event.order_id,
        status=status,
        carrier=event.carrier,
        tracking_number=event.tracking_number,
        sequence=event.sequence,
    )
    done = await tx.execute(
        known.on_conflict_do_update(
            index_elements=["shipment_id"],
            set_={
                "status": known.excluded.status,
                "carrier": func.coalesce(known.excluded.carrier, OrderShipment.carrier),
                "tracking_number": func.coalesce(
                    known.excluded.tracking_number, OrderShipment.tracking_number
                ),
                "sequence": known.excluded.sequence,
            },
            where=OrderShipment.sequence < known.excluded.sequence,
        ).returning(OrderShipment.shipment_id)
    )
    return done.first() is not None


async def list_statuses(tx: AsyncSession, order_id: UUID) -> Sequence[str]:
    """The states of an order's parcels."""
    query = select(OrderShipment.status).where(OrderShipment.order_id == order_id)
    return (await tx.scalars(query)).all()


async def cancel_open(tx: AsyncSession, order_id: UUID) -> None:
    """The parcels that are not known to have left were kept back."""
    await tx.execute(
        update(OrderShipment)
        .where(
            OrderShipment.order_id == order_id,
            OrderShipment.handed_over.is_(False),
            OrderShipment.status.not_in(LEFT),
        )
        .values(status="cancelled")
    )
