"""What inventory does with the messages of orders, shipping and catalog, a batch at a time.

Locks are taken in one order everywhere: operations, warehouses, reservations, stock.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID, uuid5

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Bus
from chassis.ids import utcnow
from chassis.settings import ServiceSettings
from contracts.catalog import (
    ProductChanged,
    ProductSnapshot,
    ProductSnapshotsCompleted,
    ProductState,
)
from contracts.inventory import (
    ReleaseStock,
    RequestStockSnapshots,
    ReserveStock,
    RestockUnits,
    StockEvent,
    StockReleased,
    StockSnapshotsCompleted,
)
from contracts.message import Message
from contracts.orders import OrderConfirmed
from contracts.shipping import ShipmentHandedOver
from inventory import service
from inventory.domain.reservation import LockedStock, Reservation
from inventory.domain.stock import MAX_REASON_LENGTH, MovementReason
from inventory.store import stock, warehouses

log = structlog.get_logger()
PAGE = 500

bus: Bus[ServiceSettings] = Bus("inventory")

Answers = list[list[Message]]


class UnreservedShipment(Exception):
    """A parcel holds pieces that its order has not reserved in this warehouse; staff must look."""


@bus.handles_many(ReserveStock)
async def reserve_stock(commands: Sequence[ReserveStock], tx: AsyncSession) -> Answers:
    """Reserve all lines of each order or none, first come, first served."""
    now = utcnow()
    reservations, undecided = await stock.claim_reservations(
        tx, [command.order_id for command in commands], "held"
    )
    wanted = {
        line.variant_id
        for command in commands
        if command.order_id in undecided and not command.is_expired(now)
        for line in command.lines
    }
    locked = await stock.lock_stock(tx, wanted)
    answers: Answers = []
    for command in commands:
        reservation = reservations[command.order_id]
        if command.order_id in undecided:
            undecided.remove(command.order_id)
            reserve_or_reject(reservation, command, locked, is_expired=command.is_expired(now))
        answers.append([reservation.outcome()])
    await stock.save_reservations(tx, reservations.values())
    return with_stock_events(commands, answers, locked, await stock.save_stock(tx, locked))


def reserve_or_reject(
    reservation: Reservation, command: ReserveStock, locked: LockedStock, *, is_expired: bool
) -> None:
    """Reserve all lines of the order, or none."""
    if is_expired:
        reservation.reject("expired", [])
    elif shortages := locked.shortages(command.lines):
        reservation.reject("insufficient", shortages)
    else:
        reservation.hold(locked.reserve(command.order_id, command.lines))


@bus.handles_many(ReleaseStock)
async def release_stock(commands: Sequence[ReleaseStock], tx: AsyncSession) -> Answers:
    """Release what is still in the warehouse; an unknown order's later reservation is rejected."""
    reservations, _ = await stock.claim_reservations(
        tx, [command.order_id for command in commands], "released"
    )
    locked = await service.release(tx, reservations.values())
    answers: Answers = [
        [reservations[command.order_id].record(StockReleased(order_id=command.order_id))]
        for command in commands
    ]
    await stock.save_reservations(tx, reservations.values())
    return with_stock_events(commands, answers, locked, await stock.save_stock(tx, locked))


@bus.handles_many(OrderConfirmed, low_priority=True)
async def commit_stock(events: Sequence[OrderConfirmed], tx: AsyncSession) -> None:
    """Commit what confirmed orders hold until it leaves the warehouse."""
    await stock.commit_reservations(tx, [event.order_id for event in events])


@bus.handles_many(ShipmentHandedOver)
async def deduct_stock(events: Sequence[ShipmentHandedOver], tx: AsyncSession) -> Answers:
    """Deduct what left the warehouse from the pieces on hand and reserved; once per shipment."""
    unapplied = await stock.claim_operations(
        tx, {event.shipment_id: event.order_id for event in events}
    )
    new = [event for event in events if event.shipment_id in unapplied]
    reservations = await stock.lock_reservations(tx, [event.order_id for event in new])
    locked = await stock.lock_stock(tx, {line.variant_id for event in new for line in event.lines})
    for event in new:
        if event.shipment_id in unapplied:
            unapplied.remove(event.shipment_id)
            deduct_shipment(reservations.get(event.order_id), event, locked)
    await stock.save_reservations(tx, reservations.values())
    answers: Answers = [[] for _ in events]
    return with_stock_events(events, answers, locked, await stock.save_stock(tx, locked))


def deduct_shipment(
    reservation: Reservation | None, event: ShipmentHandedOver, locked: LockedStock
) -> None:
    """Deduct a parcel's pieces from the stock and from its order's reservation."""
    lines = {
        line.line_id: line
        for line in (reservation.lines if reservation else ())
        if line.warehouse_id == event.warehouse_id
    }
    for sent in event.lines:
        line = lines.get(sent.line_id)
        if reservation is None or line is None or not 0 < sent.quantity <= line.remaining:
            raise UnreservedShipment(f"shipment {event.shipment_id}, line {sent.line_id}")
        item = locked.item(line.variant_id, line.warehouse_id)
        locked.deduct(item, sent.quantity, reservation.order_id, are_reserved=reservation.is_live)
        line.deduct(sent.quantity)
    # A release that arrived before this hand-over released pieces that had left already.
    if reservation is not None and not any(line.remaining for line in reservation.lines):
        reservation.state = "fulfilled"


@bus.handles(RestockUnits)
async def restock_units(command: RestockUnits, tx: AsyncSession) -> list[StockEvent]:
    """Add pieces that came back to the stock of their warehouse; once per operation."""
    if not await stock.claim_operations(tx, {command.operation_id: command.order_id}):
        return []
    found = await warehouses.share_lock_warehouses(
        tx, {line.warehouse_id for line in command.lines}
    )
    locked = await stock.lock_stock(tx, {line.variant_id for line in command.lines})
    reason = command.reason[:MAX_REASON_LENGTH] or "came back"
    because = MovementReason(reason, "return", command.order_id)
    for line in command.lines:
        if line.quantity < 1:
            raise ValueError(f"line {line.line_id} brings back {line.quantity} pieces")
        level = locked.level(line.variant_id)
        item = locked.find_item(level.variant_id, line.warehouse_id) or locked.add_stock_item(
            level.variant_id, line.warehouse_id, is_active=found[line.warehouse_id].is_active
        )
        locked.restock(item, line.quantity, because)
    saved = await stock.save_stock(tx, locked)
    return [event for events in saved.values() for event in events]


@bus.handles_many(ProductSnapshot)
@bus.handles_many(ProductChanged, low_priority=True)
async def upsert_variants(events: Sequence[ProductState], tx: AsyncSession) -> None:
    """Store the variants that the catalogue publishes: only these can be stocked."""
    await stock.upsert_variants(tx, events)


@bus.handles(RequestStockSnapshots)
async def send_stock_snapshots(command: RequestStockSnapshots, tx: AsyncSession) -> list[Message]:
    """Send a page of snapshots to the requesting queue; a command to itself requests the next."""
    page = await stock.list_published_levels(tx, command.after, PAGE)
    snapshots: list[Message] = [level.snapshot(command.reply_to) for level in page]
    sent = command.sent + len(snapshots)
    if len(page) < PAGE:
        end = StockSnapshotsCompleted(request_id=command.request_id, sent=sent)
        return [*snapshots, end.addressed_to(command.reply_to, 1)]
    last = page[-1].variant_id
    next_page = {"after": last, "sent": sent, "operation_id": uuid5(command.request_id, str(last))}
    return [*snapshots, command.model_copy(update=next_page)]


@bus.handles(ProductSnapshotsCompleted)
async def log_bootstrap_completed(event: ProductSnapshotsCompleted, tx: AsyncSession) -> None:
    """The copy of the variants is complete."""
    log.info("bootstrap completed", source=event.source(), snapshots=event.sent)


OrderMessage = ReserveStock | ReleaseStock | ShipmentHandedOver


def with_stock_events(
    messages: Iterable[OrderMessage],
    answers: Answers,
    locked: LockedStock,
    events: Mapping[UUID, Sequence[StockEvent]],
) -> Answers:
    """Add each variant's events to the answer to the order that moved it last."""
    by_order = {message.order_id: answer for message, answer in zip(messages, answers, strict=True)}
    moved_by = {movement.variant_id: movement.reference_id for movement in locked.movements}
    for variant_id, of_variant in events.items():
        order_id = moved_by.get(variant_id)
        answer = by_order[order_id] if order_id is not None else answers[-1]
        answer.extend(of_variant)
    return answers
