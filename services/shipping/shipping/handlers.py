"""What shipping does when orders tells it to make or to keep back parcels."""

from collections import Counter
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
from shipping.domain import lines_of, parcels_of, refusal
from shipping.domain.fulfilment import rows_of
from shipping.settings import ShippingSettings
from shipping.store import fulfilments as store
from shipping.store.fulfilments import Claimed, Wish

bus: Bus[ShippingSettings] = Bus("shipping")

Created = ShipmentsCreated | ShipmentImpossible
Cancelled = ShipmentsCancelled | ShipmentsPartlyCancelled | ShipmentAlreadySent


@bus.handles_many(CreateShipments, low_priority=True)
async def create_shipments(commands: list[CreateShipments], tx: AsyncSession) -> list[Created]:
    """Make one parcel per seller and warehouse of each order, or say why not.

    A repeat is answered with what was decided before. After a refusal another operation tries anew.
    """
    now = utcnow()
    offered = await store.get_offered(tx, {each.shipping_method_id for each in commands})
    reasons = [refusal(each, offered, now) for each in commands]
    claimed = await _claim(tx, commands, reasons)
    known = [o for o, each in claimed.items() if not each.is_new and each.status == "created"]
    parcels = await store.list_parcels(tx, known)
    rows = []
    answers: list[Created] = []
    for command, reason in zip(commands, reasons, strict=True):
        order_id, fulfilment = command.order_id, claimed[command.order_id]
        if fulfilment.status == "impossible" and fulfilment.operation_id != command.operation_id:
            fulfilment.become(command.operation_id, "impossible" if reason else "created", reason)
        if fulfilment.status == "created" and order_id not in parcels:
            parcels[order_id] = parcels_of(command)
            provider = offered[command.shipping_method_id][0]
            rows += rows_of(command, parcels[order_id], provider, now)
        answers.append(_created(command, fulfilment, parcels.get(order_id, [])))
    await store.add_shipments(tx, rows)
    await store.save_fulfilments(tx, claimed)
    return answers


async def _claim(
    tx: AsyncSession, commands: list[CreateShipments], reasons: list[str | None]
) -> dict[UUID, Claimed]:
    """Lock the orders' fulfilments; the first command of a new order decides it."""
    answers = Counter(each.order_id for each in commands)
    wishes: dict[UUID, Wish] = {}
    for command, reason in zip(commands, reasons, strict=True):
        wish = Wish(
            command.order_id,
            command.operation_id,
            "impossible" if reason else "created",
            reason,
            answers[command.order_id],
        )
        wishes.setdefault(command.order_id, wish)
    return await store.lock_fulfilments(tx, wishes.values())


def _created(command: CreateShipments, fulfilment: Claimed, parcels: list[Parcel]) -> Created:
    """Answer as a fulfilment's state calls for."""
    number = fulfilment.number()
    if fulfilment.status == "created":
        return ShipmentsCreated(order_id=command.order_id, shipments=parcels).with_sequence(number)
    reason = fulfilment.reason or fulfilment.status
    return ShipmentImpossible(
        order_id=command.order_id, reason=reason, lines=lines_of(command)
    ).with_sequence(number)


@bus.handles(CancelShipments)
async def cancel_shipments(command: CancelShipments, tx: AsyncSession) -> Cancelled:
    """Keep back every parcel not handed over; for an order without parcels, none will be made.

    The answer follows from the parcels alone, so a repeat gets the same one.
    """
    order_id, now = command.order_id, utcnow()
    wish = Wish(order_id, command.operation_id, "cancelled", None)
    claimed = await store.lock_fulfilments(tx, [wish])
    fulfilment = claimed[order_id]
    shipments = [] if fulfilment.is_new else await store.lock_shipments(tx, order_id)
    kept = [each for each in shipments if not each.was_handed_over]
    for each in kept:
        if each.status != "cancelled":
            each.keep_back(now)
    number = fulfilment.number()
    if len(kept) == len(shipments):
        if fulfilment.status != "cancelled":
            fulfilment.become(command.operation_id, "cancelled", None)
            await store.save_fulfilments(tx, claimed)
        return ShipmentsCancelled(order_id=order_id).with_sequence(number)
    if not kept:
        return ShipmentAlreadySent(order_id=order_id).with_sequence(number)
    unsent = [piece for each in kept for piece in each.pieces()]
    return ShipmentsPartlyCancelled(order_id=order_id, unsent=unsent).with_sequence(number)


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Let the parcels of a customer who is another now go along with their orders."""
    if event.merged_into is not None:
        await store.move_shipments(tx, event.customer_id, event.merged_into)
