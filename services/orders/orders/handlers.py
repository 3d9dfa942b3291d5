"""What happens in orders when a message arrives: the saga hears it, or a parcel moves."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.identity import CustomerChanged
from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.message import Message
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
from orders import parcels
from orders.domain.checkout import Checkout
from orders.saga.process import apply, is_early
from orders.settings import OrdersSettings
from orders.store import checkouts, orders, saving, shipments
from orders.store.saving import Entry

bus: Bus[OrdersSettings] = Bus("orders")


class OrderUnknown(Exception):
    """A reply whose order is not there (yet): never discarded, always tried again."""


class EarlierEventMissing(Exception):
    """An event of the payment arrived before an earlier one: it is tried again after that."""


# An earlier event may have become a dead letter; later ones do not wait for it for good.
PATIENCE = timedelta(minutes=1)


async def _hear_all(replies: Sequence[Any], tx: AsyncSession) -> list[list[Message]]:
    """Let the sagas of a batch hear their replies: one lock, one save, one log."""
    _, answers = await _hear(replies, tx)
    return answers


async def _hear(
    replies: Sequence[Any], tx: AsyncSession
) -> tuple[dict[UUID, Checkout], list[list[Message]]]:
    now, deadlines = utcnow(), bus.settings.deadlines
    found = await checkouts.lock_checkouts(tx, [reply.order_id for reply in replies])
    missing = [str(reply.order_id) for reply in replies if reply.order_id not in found]
    if missing:
        raise OrderUnknown(f"no order {', '.join(missing[:3])}")
    envelopes = context.current().envelopes
    entries: list[Entry] = []
    for reply, envelope in zip(replies, envelopes, strict=True):
        order = found[reply.order_id]
        # A clock that differs makes no event wait.
        is_fresh = timedelta(0) <= now - envelope.time < PATIENCE
        if is_fresh and is_early(order, reply):
            raise EarlierEventMissing(f"{type(reply).__name__} {reply.sequence}")
        entries.append((order, apply(order, reply, now, deadlines), envelope))
    await saving.save_checkouts(tx, list(found.values()), now, entries)
    return found, [heard.sent for _, heard, _ in entries]


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
):
    bus.handles_many(reply_class)(_hear_all)


@bus.handles_many(ShipmentsCreated, low_priority=True)
async def shipments_created(
    events: Sequence[ShipmentsCreated], tx: AsyncSession
) -> list[list[Message]]:
    """The parcels exist: remember them, and the saga is complete."""
    found, answers = await _hear(events, tx)
    kept_back = {order_id for order_id, order in found.items() if order.is_recalled}
    await shipments.insert_parcels(
        tx, [(event.order_id, event.shipments) for event in events], kept_back
    )
    for event, answer in zip(events, answers, strict=True):
        if found[event.order_id].is_handed_over:
            answer.extend(await _follow(found[event.order_id], tx))
    return answers


@bus.handles(ShipmentsCancelled, ShipmentsPartlyCancelled, ShipmentAlreadySent)
async def shipments_recalled(
    event: ShipmentsCancelled | ShipmentsPartlyCancelled | ShipmentAlreadySent, tx: AsyncSession
) -> list[Message]:
    """Parcels were kept back, or all had left."""
    found, (answer,) = await _hear([event], tx)
    if not isinstance(event, ShipmentAlreadySent):
        await shipments.cancel_open(tx, event.order_id)
    return [*answer, *await _follow(found[event.order_id], tx)]


@bus.handles(ShipmentHandedOver)
async def handed_over(event: ShipmentHandedOver, tx: AsyncSession) -> list[Message]:
    """A parcel left: the order is shipped, and money due on shipment is taken."""
    order = await _lock(tx, event.order_id)
    return await parcels.hand_over(order, event, tx, bus.settings.deadlines)


@bus.handles(ShipmentUpdated)
async def shipment_updated(event: ShipmentUpdated, tx: AsyncSession) -> list[Message]:
    """A parcel moved: tell the customer, and see whether all has arrived or come back."""
    order = await _lock(tx, event.order_id)
    return await parcels.update(order, event, tx, bus.settings.deadlines)


async def _follow(order: Checkout, tx: AsyncSession) -> list[Message]:
    return await parcels.follow(order, utcnow(), tx, bus.settings.deadlines)


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
