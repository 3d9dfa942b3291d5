"""Queries on providers and methods, fulfilments, shipments and their tracking."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    any_,
    false,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.errors import NotFound
from chassis.rows import RowArrays
from contracts.shipping import Parcel
from shipping.domain.methods import ShippingMethod, ShippingProvider, Tariff
from shipping.domain.shipments import (
    FINAL_STATUSES,
    FULFILMENTS,
    Fulfilment,
    MethodAvailability,
    Shipment,
    TrackingEvent,
)

Row = TypeVar("Row")

FULFILMENT_ROWS: Final = RowArrays(
    FULFILMENTS, ("order_id", "operation_id", "status", "reason", "sequence")
)
LOCK_FULFILMENTS: Final = Sql(
    f"{FULFILMENT_ROWS.insert()} on conflict (order_id) do update set "
    "sequence = fulfilments.sequence + excluded.sequence, updated_at = now() "
    "returning order_id, operation_id, status, reason, sequence"
)
DECISION_ROWS: Final = RowArrays(FULFILMENTS, ("order_id", "operation_id", "status", "reason"))
UPDATE_DECISIONS: Final = Sql(DECISION_ROWS.update_rows("order_id", also="updated_at = now()"))

SHIPMENT_ROWS: Final = RowArrays(
    Shipment.__table__,  # type: ignore[arg-type]
    ("id", "order_id", "order_number", "customer_id", "access_hash", "seller_id", "warehouse_id",
     "ship_to", "shipping_method_id", "provider", "currency", "amount", "collect_amount",
     "placed_at", "scheduled_for", "status", "status_at", "lines"),
)  # fmt: skip
INSERT_SHIPMENTS: Final = Sql(SHIPMENT_ROWS.insert())


@dataclass(frozen=True, slots=True)
class ActiveMethod:
    """A method that can be used now; not a mapped object, since each checkout reads them."""

    id: UUID
    name: str
    provider: str
    currency: str
    estimated_days: int
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class Viewer:
    """A customer, a guest with the hash of the order's token, or staff, who see all shipments."""

    customer_id: UUID | None
    access_hash: str | None
    sees_all: bool = False

    def can_see(self) -> ColumnElement[bool]:
        """The condition on shipments in a query."""
        if self.sees_all:
            return true()
        owned: ColumnElement[bool] = false()
        if self.customer_id is not None:
            owned = or_(owned, Shipment.customer_id == self.customer_id)
        if self.access_hash is not None:
            owned = or_(owned, Shipment.access_hash == self.access_hash)
        return owned


STAFF: Final = Viewer(None, None, sees_all=True)


async def list_active_methods(tx: AsyncSession, currency: str) -> list[ActiveMethod]:
    """Every active method of an active provider with prices in the currency."""
    rows = await tx.execute(
        select(
            ShippingMethod.id,
            ShippingMethod.name,
            ShippingProvider.code,
            ShippingMethod.estimated_days,
            ShippingMethod.zones,
            ShippingMethod.priced_by,
            ShippingMethod.tiers,
            ShippingMethod.free_over_amount,
        )
        .join(ShippingProvider, ShippingProvider.id == ShippingMethod.provider_id)
        .where(
            ShippingMethod.currency == currency,
            ShippingMethod.is_active,
            ShippingProvider.status == "active",
        )
    )
    return [
        ActiveMethod(
            row.id,
            row.name,
            row.code,
            currency,
            row.estimated_days,
            Tariff(row.zones, row.priced_by, row.tiers, row.free_over_amount),
        )
        for row in rows
    ]


async def get_availability(
    tx: AsyncSession, method_ids: Iterable[UUID]
) -> dict[UUID, MethodAvailability]:
    """Which of these methods exist, and whether they can be used."""
    rows = await tx.execute(
        select(
            ShippingMethod.id,
            ShippingProvider.code,
            ShippingMethod.is_active,
            ShippingProvider.status,
        )
        .join(ShippingProvider, ShippingProvider.id == ShippingMethod.provider_id)
        .where(ShippingMethod.id == any_(literal(list(method_ids), ARRAY(Uuid))))
    )
    return {
        row.id: MethodAvailability(row.code, row.is_active and row.status == "active")
        for row in rows
    }


async def list_providers(
    tx: AsyncSession, limit: int, after: UUID | None
) -> list[ShippingProvider]:
    """Providers in the order of creation."""
    query = select(ShippingProvider).order_by(ShippingProvider.id).limit(limit)
    if after is not None:
        query = query.where(ShippingProvider.id > after)
    return list(await tx.scalars(query))


async def get_provider(tx: AsyncSession, provider_id: UUID) -> ShippingProvider:
    """One provider; raises NotFound."""
    return _found(await tx.get(ShippingProvider, provider_id))


async def lock_provider(tx: AsyncSession, provider_id: UUID) -> ShippingProvider:
    """One provider, locked; raises NotFound."""
    return _found(await tx.get(ShippingProvider, provider_id, with_for_update=True))


async def get_provider_by_code(tx: AsyncSession, code: str) -> ShippingProvider:
    """One provider; raises NotFound."""
    return _found(await tx.scalar(select(ShippingProvider).where(ShippingProvider.code == code)))


async def list_methods(tx: AsyncSession, limit: int, after: UUID | None) -> list[ShippingMethod]:
    """Methods in the order of creation, inactive ones too."""
    query = select(ShippingMethod).order_by(ShippingMethod.id).limit(limit)
    if after is not None:
        query = query.where(ShippingMethod.id > after)
    return list(await tx.scalars(query))


async def get_method(tx: AsyncSession, method_id: UUID) -> ShippingMethod:
    """One method; raises NotFound."""
    return _found(await tx.get(ShippingMethod, method_id))


async def lock_method(tx: AsyncSession, method_id: UUID) -> ShippingMethod:
    """One method, locked; raises NotFound."""
    return _found(await tx.get(ShippingMethod, method_id, with_for_update=True))


async def lock_fulfilments(
    tx: AsyncSession, proposed: Iterable[Fulfilment]
) -> dict[UUID, Fulfilment]:
    """Lock the fulfilments of several orders, in the order of their ids, and insert missing ones.

    proposed: what is inserted for a new order; its `sequence` is how many answers will be numbered.
    """
    wanted = {each.order_id: each for each in sorted(proposed, key=lambda each: each.order_id)}
    rows = await driver.fetch(tx, LOCK_FULFILMENTS, FULFILMENT_ROWS.parameters(wanted.values()))
    locked = {}
    for row in rows:
        fulfilment = Fulfilment(**row)
        fulfilment.sequence -= wanted[fulfilment.order_id].sequence
        # A fulfilment is always inserted together with its first answer.
        fulfilment.is_new = fulfilment.sequence == 0
        locked[fulfilment.order_id] = fulfilment
    return locked


async def lock_fulfilment(tx: AsyncSession, order_id: UUID) -> None:
    """Lock an order's fulfilment, so that its shipments change one after the other."""
    order = FULFILMENTS.c.order_id
    await tx.execute(select(order).where(order == order_id).with_for_update())


async def save_decisions(tx: AsyncSession, fulfilments: Iterable[Fulfilment]) -> None:
    """Update the fulfilments whose decision changed; rare."""
    changed = [each for each in fulfilments if each.is_changed]
    if changed:
        await driver.execute(tx, UPDATE_DECISIONS, DECISION_ROWS.parameters(changed))


async def add_shipments(tx: AsyncSession, shipments: Sequence[Shipment]) -> None:
    """Insert shipments in one statement."""
    if shipments:
        await driver.execute(tx, INSERT_SHIPMENTS, SHIPMENT_ROWS.parameters(shipments))


async def list_parcels(tx: AsyncSession, order_ids: Sequence[UUID]) -> dict[UUID, list[Parcel]]:
    """The parcels of each order, without cancelled ones."""
    found: dict[UUID, list[Parcel]] = {order_id: [] for order_id in order_ids}
    if not order_ids:
        return found
    rows = await tx.execute(
        select(
            Shipment.order_id,
            Shipment.id.label("shipment_id"),
            Shipment.warehouse_id,
            Shipment.seller_id,
            Shipment.lines,
        )
        .where(
            Shipment.order_id == any_(literal(list(order_ids), ARRAY(Uuid))),
            Shipment.status != "cancelled",
        )
        .order_by(Shipment.id)
    )
    for row in rows:
        found[row.order_id].append(Parcel.model_validate(row, from_attributes=True))
    return found


async def lock_shipments(tx: AsyncSession, order_id: UUID) -> list[Shipment]:
    """All shipments of an order, locked; lock its fulfilment first."""
    query = select(Shipment).where(Shipment.order_id == order_id).order_by(Shipment.id)
    return list(await tx.scalars(query.with_for_update()))


async def lock_shipment(tx: AsyncSession, shipment_id: UUID) -> Shipment:
    """One shipment, locked; lock its order's fulfilment first."""
    return await tx.get_one(Shipment, shipment_id, with_for_update=True, populate_existing=True)


async def count_open_others(tx: AsyncSession, shipment: Shipment) -> int:
    """How many other shipments of the order have no final status."""
    found = await tx.scalar(
        select(func.count())
        .select_from(Shipment)
        .where(
            Shipment.order_id == shipment.order_id,
            Shipment.id != shipment.id,
            Shipment.status.not_in(FINAL_STATUSES),
        )
    )
    return found or 0


async def reassign_shipments(tx: AsyncSession, old_customer: UUID, new_customer: UUID) -> None:
    """Give one customer's shipments to another."""
    await tx.execute(
        update(Shipment)
        .where(Shipment.customer_id == old_customer)
        .values(customer_id=new_customer)
        .execution_options(synchronize_session=False)
    )


async def get_shipment(tx: AsyncSession, shipment_id: UUID, viewer: Viewer) -> Shipment:
    """One shipment that the viewer may see; raises NotFound."""
    query = select(Shipment).where(Shipment.id == shipment_id, viewer.can_see())
    return _found(await tx.scalar(query))


async def list_order_shipments(tx: AsyncSession, order_id: UUID, viewer: Viewer) -> list[Shipment]:
    """The shipments of an order that the viewer may see."""
    query = select(Shipment).where(Shipment.order_id == order_id, viewer.can_see())
    return list(await tx.scalars(query.order_by(Shipment.id)))


async def list_shipments(
    tx: AsyncSession, limit: int, after: UUID | None, status: str | None, order_id: UUID | None
) -> list[Shipment]:
    """Shipments, newest first."""
    query = select(Shipment).order_by(Shipment.id.desc()).limit(limit)
    if after is not None:
        query = query.where(Shipment.id < after)
    if status is not None:
        query = query.where(Shipment.status == status)
    if order_id is not None:
        query = query.where(Shipment.order_id == order_id)
    return list(await tx.scalars(query))


async def get_order_id(tx: AsyncSession, shipment_id: UUID) -> UUID:
    """The order of a shipment, which never changes; raises NotFound."""
    return _found(await tx.scalar(select(Shipment.order_id).where(Shipment.id == shipment_id)))


async def find_shipment_id(
    tx: AsyncSession, provider: str, shipment_id: UUID | None, tracking_number: str | None
) -> UUID | None:
    """The shipment of a provider, by its id or else by its tracking number."""
    query = select(Shipment.id).where(Shipment.provider == provider)
    if shipment_id is not None:
        query = query.where(Shipment.id == shipment_id)
    else:
        query = query.where(Shipment.tracking_number == tracking_number)
    found: UUID | None = await tx.scalar(query)
    return found


async def list_tracking(
    tx: AsyncSession, shipment_ids: Sequence[UUID]
) -> dict[UUID, list[TrackingEvent]]:
    """The tracking events of each shipment, in the order of occurrence."""
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
    """Whether this report was stored before; its shipment is locked."""
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


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row
