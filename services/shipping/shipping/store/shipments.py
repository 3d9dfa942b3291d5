"""Queries on parcels and what was reported of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from shipping.domain import Shipment, TrackingEvent


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: a customer, a guest by the hash of the order's token, or staff, who see all."""

    customer_id: UUID | None
    access_hash: str | None
    sees_all: bool = False

    def owns(self) -> ColumnElement[bool]:
        """Write the owner predicate, for inside a query."""
        if self.sees_all:
            return true()
        owned: ColumnElement[bool] = false()
        if self.customer_id is not None:
            owned = or_(owned, Shipment.customer_id == self.customer_id)
        if self.access_hash is not None:
            owned = or_(owned, Shipment.access_hash == self.access_hash)
        return owned


STAFF = Reader(None, None, sees_all=True)


async def get_shipment(tx: AsyncSession, shipment_id: UUID, reader: Reader) -> Shipment:
    """One parcel that the reader may see."""
    found = await tx.scalar(select(Shipment).where(Shipment.id == shipment_id, reader.owns()))
    if found is None:
        raise NotFound
    return found


async def list_of_order(tx: AsyncSession, order_id: UUID, reader: Reader) -> list[Shipment]:
    """List the parcels of an order that the reader may see."""
    query = select(Shipment).where(Shipment.order_id == order_id, reader.owns())
    return list(await tx.scalars(query.order_by(Shipment.id)))


async def list_shipments(
    tx: AsyncSession, limit: int, after: UUID | None, status: str | None, order_id: UUID | None
) -> list[Shipment]:
    """Parcels, the newest first."""
    query = select(Shipment).order_by(Shipment.id.desc()).limit(limit)
    if after is not None:
        query = query.where(Shipment.id < after)
    if status is not None:
        query = query.where(Shipment.status == status)
    if order_id is not None:
        query = query.where(Shipment.order_id == order_id)
    return list(await tx.scalars(query))


async def get_order_id(tx: AsyncSession, shipment_id: UUID) -> UUID:
    """Find the order a parcel belongs to; it never changes."""
    found = await tx.scalar(select(Shipment.order_id).where(Shipment.id == shipment_id))
    if found is None:
        raise NotFound
    return found


async def find_shipment_id(
    tx: AsyncSession, provider: str, shipment_id: UUID | None, tracking_number: str | None
) -> UUID | None:
    """Find the parcel that a provider speaks of, by our id or by its own number."""
    query = select(Shipment.id).where(Shipment.provider == provider)
    if shipment_id is not None:
        query = query.where(Shipment.id == shipment_id)
    else:
        query = query.where(Shipment.tracking_number == tracking_number)
    found: UUID | None = await tx.scalar(query)
    return found


async def lock_shipment(tx: AsyncSession, shipment_id: UUID) -> Shipment:
    """One parcel, until commit; its order's fulfilment is locked before."""
    return await tx.get_one(Shipment, shipment_id, with_for_update=True, populate_existing=True)


async def list_tracking(
    tx: AsyncSession, shipment_ids: Sequence[UUID]
) -> dict[UUID, list[TrackingEvent]]:
    """List what was reported of parcels, in the order in which it happened."""
    found: dict[UUID, list[TrackingEvent]] = {each: [] for each in shipment_ids}
    rows = await tx.scalars(
        select(TrackingEvent)
        .where(TrackingEvent.shipment_id.in_(shipment_ids))
        .order_by(TrackingEvent.occurred_at, TrackingEvent.id)
    )
    for row in rows:
        found[row.shipment_id].append(row)
    return found


async def is_recorded(tx: AsyncSession, event: TrackingEvent) -> bool:
    """Whether this report was recorded before; the parcel it is about is locked."""
    same = (
        (TrackingEvent.shipment_id == event.shipment_id)
        & (TrackingEvent.type == event.type)
        & (TrackingEvent.occurred_at == event.occurred_at)
    )
    if event.external_id is not None:
        same |= (TrackingEvent.source == event.source) & (
            TrackingEvent.external_id == event.external_id
        )
    return await tx.scalar(select(TrackingEvent.id).where(same).limit(1)) is not None
