"""What happens in orders when a message arrives: the saga hears it, or a parcel moves."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.identity import CustomerChanged
from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.message import Message
from contracts.orders import OrderDelivered, OrderShipped
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
)
from contracts.promotions import PromotionsRedeemed, PromotionsRejected, PromotionsReleased
from contracts.shipping import (
    ShipmentAlreadySent,
    ShipmentHandedOver,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShipmentUpdated,
)
from orders.domain.checkout import Checkout
from orders.domain.order import Status
from orders.saga.notices import milestone_notice
from orders.saga.process import hear
from orders.saga.triggers import CaptureDue, PartlyRefused, RefusedAtDoor, Trigger
from orders.settings import OrdersSettings
from orders.store import checkouts, orders, saving, shipments
from orders.store.saving import Entry

bus: Bus[OrdersSettings] = Bus("orders")

FAILED_OR_BACK = ("failed", "returned")


class OrderUnknown(Exception):
    """A reply whose order is not there (yet): never discarded, always tried again."""


async def _hear_all(replies: Sequence[Any], tx: AsyncSession) -> list[list[Message]]:
    """Let the sagas of a batch hear their replies: one lock, one save, one log."""
    now, deadlines = utcnow(), bus.settings.deadlines
    found = await checkouts.lock_checkouts(tx, [reply.order_id for reply in replies])
    missing = [str(reply.order_id) for reply in replies if reply.order_id not in found]
    if missing:
        raise OrderUnknown(f"no order {', '.join(missing[:3])}")
    heard = [hear(found[reply.order_id], reply, now, deadlines) for reply in replies]
    entries = [
        (found[reply.order_id], each, envelope)
        for reply, each, envelope in zip(replies, heard, context.current().envelopes, strict=True)
    ]
    await saving.save_checkouts(tx, list(found.values()), now, entries)
    return [each.sent for each in heard]


for reply_class in (
    StockReserved,
    StockRejected,
    StockReleased,
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentCancelled,
    PaymentRefunded,
    PaymentDisputed,
    RefundFailed,
    CaptureFailed,
    ShipmentImpossible,
    ShipmentAlreadySent,
):
    bus.handles_many(reply_class)(_hear_all)


@bus.handles_many(ShipmentsCreated, unhurried=True)
async def shipments_created(
    events: Sequence[ShipmentsCreated], tx: AsyncSession
) -> list[list[Message]]:
    """The parcels exist: remember them, and the saga is complete."""
    answers = await _hear_all(events, tx)
    await shipments.insert_parcels(tx, [(event.order_id, event.shipments) for event in events])
    return answers


@bus.handles(ShipmentsCancelled, ShipmentsPartlyCancelled)
async def shipments_cancelled(
    event: ShipmentsCancelled | ShipmentsPartlyCancelled, tx: AsyncSession
) -> list[Message]:
    """Parcels were kept back."""
    (answer,) = await _hear_all([event], tx)
    await shipments.cancel_open(tx, event.order_id)
    return answer


@bus.handles(ShipmentHandedOver)
async def handed_over(event: ShipmentHandedOver, tx: AsyncSession) -> list[Message]:
    """A parcel left: the order is shipped, and money due on shipment is taken."""
    order = await _lock(tx, event.order_id)
    if not await shipments.hand_over(tx, event):
        return []
    sent: list[Message] = []
    entries: list[Entry] = []
    order.progress.setdefault("handed_over", []).append(str(event.shipment_id))
    if order.status is Status.CONFIRMED:
        order.become(Status.SHIPPED)
        shipped = OrderShipped(**_names(order), shipped_at=event.handed_over_at)
        sent.append(order.say(shipped))
        if order.facts["payment"]["capture"] == "on_shipment":
            entries.append(_trigger(order, CaptureDue()))
    return await _keep(order, sent, entries, tx)


@bus.handles(ShipmentUpdated)
async def shipment_updated(event: ShipmentUpdated, tx: AsyncSession) -> list[Message]:
    """A parcel moved: tell the customer, and see whether all has arrived or come back."""
    order = await _lock(tx, event.order_id)
    if not await shipments.note_update(tx, event):
        return []
    sent: list[Message] = milestone_notice(order, event)
    entries: list[Entry] = []
    statuses = [s for s in await shipments.list_statuses(tx, event.order_id) if s != "cancelled"]
    cash = order.facts["payment"]["capture"] == "on_delivery"
    if order.status is Status.SHIPPED and all(status == "delivered" for status in statuses):
        order.become(Status.DELIVERED)
        delivered = OrderDelivered(**_names(order), delivered_at=event.occurred_at)
        sent.append(order.say(delivered))
        if cash:
            entries.append(_trigger(order, CaptureDue()))
    elif cash and statuses and all(status in FAILED_OR_BACK for status in statuses):
        entries.append(_trigger(order, RefusedAtDoor()))
    elif cash and all(status in (*FAILED_OR_BACK, "delivered") for status in statuses):
        entries.append(_trigger(order, PartlyRefused()))
    return await _keep(order, sent, entries, tx)


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """A customer turned out to be another: their orders move along."""
    if event.merged_into is not None:
        await orders.move_orders(tx, event.customer_id, event.merged_into)


async def _lock(tx: AsyncSession, order_id: UUID) -> Checkout:
    found = await checkouts.lock_checkouts(tx, [order_id])
    if order_id not in found:
        raise OrderUnknown(f"no order {order_id}")
    return found[order_id]


def _trigger(order: Checkout, trigger: Trigger) -> Entry:
    """Let the saga hear something from inside."""
    heard = hear(order, trigger, utcnow(), bus.settings.deadlines)
    (envelope,) = context.current().envelopes
    return order, heard, envelope


async def _keep(
    order: Checkout, sent: list[Message], entries: Sequence[Entry], tx: AsyncSession
) -> list[Message]:
    """Write the order back with what its saga heard; gives all that is to be said."""
    await saving.save_checkouts(tx, [order], utcnow(), entries)
    return [*sent, *(message for _, heard, _ in entries for message in heard.sent)]


def _names(order: Checkout) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "order_number": order.order_number,
        "customer_id": order.customer_id,
    }
