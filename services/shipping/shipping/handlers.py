"""Handlers of orders' commands to create and cancel shipments, and of merged customers."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.identity import CustomerChanged
from contracts.shipping import (
    CancelShipments,
    CreateShipments,
    Parcel,
    ShipmentAlreadySent,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
)
from shipping import store
from shipping.domain.shipments import (
    Fulfilment,
    Shipment,
    build_shipments,
    group_into_parcels,
    lines_of,
    rejection_reason,
)
from shipping.settings import ShippingSettings

bus: Bus[ShippingSettings] = Bus("shipping")

Created = ShipmentsCreated | ShipmentImpossible
Cancelled = ShipmentsCancelled | ShipmentsPartlyCancelled | ShipmentAlreadySent


@bus.handles_many(CreateShipments, low_priority=True)
async def create_shipments(commands: list[CreateShipments], tx: AsyncSession) -> list[Created]:
    """Create one shipment per seller and warehouse of each order, or return why not.

    A repeat returns the earlier decision. After a rejection, a new operation is decided again.
    """
    now = utcnow()
    methods = await store.get_availability(tx, {each.shipping_method_id for each in commands})
    reasons = [rejection_reason(each, methods, now) for each in commands]
    fulfilments = await _lock_fulfilments(tx, commands, reasons)
    created = [o for o, each in fulfilments.items() if not each.is_new and each.status == "created"]
    parcels = await store.list_parcels(tx, created)
    shipments: list[Shipment] = []
    answers: list[Created] = []
    for command, reason in zip(commands, reasons, strict=True):
        order_id, fulfilment = command.order_id, fulfilments[command.order_id]
        if fulfilment.status == "impossible" and fulfilment.operation_id != command.operation_id:
            fulfilment.decide(command.operation_id, _status(reason), reason)
        if fulfilment.status == "created" and order_id not in parcels:
            parcels[order_id] = group_into_parcels(command)
            provider = methods[command.shipping_method_id].provider
            shipments += build_shipments(command, parcels[order_id], provider, now)
        answers.append(_created(command, fulfilment, parcels.get(order_id, [])))
    await store.add_shipments(tx, shipments)
    await store.save_decisions(tx, fulfilments.values())
    return answers


async def _lock_fulfilments(
    tx: AsyncSession, commands: Sequence[CreateShipments], reasons: Sequence[str | None]
) -> dict[UUID, Fulfilment]:
    """Lock the orders' fulfilments; the first command of a new order decides it."""
    answers = Counter(each.order_id for each in commands)
    proposed: dict[UUID, Fulfilment] = {}
    for command, reason in zip(commands, reasons, strict=True):
        fulfilment = Fulfilment(
            order_id=command.order_id,
            operation_id=command.operation_id,
            status=_status(reason),
            reason=reason,
            sequence=answers[command.order_id],
        )
        proposed.setdefault(command.order_id, fulfilment)
    return await store.lock_fulfilments(tx, proposed.values())


def _status(reason: str | None) -> str:
    return "impossible" if reason else "created"


def _created(command: CreateShipments, fulfilment: Fulfilment, parcels: list[Parcel]) -> Created:
    sequence = fulfilment.next_sequence()
    if fulfilment.status == "created":
        created = ShipmentsCreated(order_id=command.order_id, shipments=parcels)
        return created.with_sequence(sequence)
    reason = fulfilment.reason or fulfilment.status
    impossible = ShipmentImpossible(
        order_id=command.order_id, reason=reason, lines=lines_of(command)
    )
    return impossible.with_sequence(sequence)


@bus.handles(CancelShipments)
async def cancel_shipments(command: CancelShipments, tx: AsyncSession) -> Cancelled:
    """Cancel every shipment not handed over; an order without any will get none.

    The answer depends on the shipments alone, so a repeat gets the same one.
    """
    order_id, now = command.order_id, utcnow()
    proposed = Fulfilment(order_id=order_id, operation_id=command.operation_id, status="cancelled")
    fulfilment = (await store.lock_fulfilments(tx, [proposed]))[order_id]
    shipments = [] if fulfilment.is_new else await store.lock_shipments(tx, order_id)
    unsent = [each for each in shipments if not each.was_handed_over]
    for each in unsent:
        if each.status != "cancelled":
            each.cancel(now)
    sequence = fulfilment.next_sequence()
    if len(unsent) == len(shipments):
        if fulfilment.status != "cancelled":
            fulfilment.decide(command.operation_id, "cancelled")
            await store.save_decisions(tx, [fulfilment])
        return ShipmentsCancelled(order_id=order_id).with_sequence(sequence)
    if not unsent:
        return ShipmentAlreadySent(order_id=order_id).with_sequence(sequence)
    lines = [line for each in unsent for line in each.shipped_lines()]
    return ShipmentsPartlyCancelled(order_id=order_id, unsent=lines).with_sequence(sequence)


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Give the shipments of a merged customer to the one that remains."""
    if event.merged_into is not None:
        await store.reassign_shipments(tx, event.customer_id, event.merged_into)
