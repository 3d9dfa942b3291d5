"""What happens when orders, the carrier or the catalogue say something, a whole batch at once.

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
from inventory.domain.model import LONGEST_REASON
from inventory.domain.reservation import Hold
from inventory.domain.shelves import Because, Stock
from inventory.releasing import give_back
from inventory.store import reservations, stock, warehouses

log = structlog.get_logger()
PAGE = 500

bus: Bus[ServiceSettings] = Bus("inventory")

Answers = list[list[Message]]


class NeverPromised(Exception):
    """A parcel holds pieces its order was not promised from this warehouse: people must look."""


@bus.handles_many(ReserveStock)
async def reserve_stock(commands: Sequence[ReserveStock], tx: AsyncSession) -> Answers:
    """Promise each order all its lines or none, in the order of arrival; repeats hear it again."""
    now = utcnow()
    holds, undecided = await reservations.claim_holds(
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
        hold = holds[command.order_id]
        if command.order_id in undecided:
            undecided.remove(command.order_id)
            decide(hold, command, locked, expired=command.is_expired(now))
        answers.append([hold.outcome()])
    await reservations.save_holds(tx, holds.values())
    return tell(commands, answers, locked, await stock.save_stock(tx, locked))


def decide(hold: Hold, command: ReserveStock, locked: Stock, *, expired: bool) -> None:
    """Promise all lines of the order, or none."""
    if expired:
        hold.reject("expired", [])
    elif shortages := locked.shortages(command.lines):
        hold.reject("insufficient", shortages)
    else:
        hold.promise(locked.hold(command.order_id, command.lines))


@bus.handles_many(ReleaseStock)
async def release_stock(commands: Sequence[ReleaseStock], tx: AsyncSession) -> Answers:
    """Give back what is still in the warehouse; an order not heard of yet will be refused."""
    holds, _ = await reservations.claim_holds(
        tx, [command.order_id for command in commands], "released"
    )
    locked = await give_back(tx, holds.values())
    answers: Answers = [
        [holds[command.order_id].record(StockReleased(order_id=command.order_id))]
        for command in commands
    ]
    await reservations.save_holds(tx, holds.values())
    return tell(commands, answers, locked, await stock.save_stock(tx, locked))


@bus.handles_many(OrderConfirmed, low_priority=True)
async def commit_stock(events: Sequence[OrderConfirmed], tx: AsyncSession) -> None:
    """Commit what confirmed orders hold: it stays theirs until it leaves the warehouse."""
    await reservations.commit_holds(tx, [event.order_id for event in events])


@bus.handles_many(ShipmentHandedOver)
async def deduct_stock(events: Sequence[ShipmentHandedOver], tx: AsyncSession) -> Answers:
    """Pieces left the warehouse: fewer are on hand and fewer promised; once per shipment."""
    fresh = await reservations.first_time(
        tx, {event.shipment_id: event.order_id for event in events}
    )
    new = [event for event in events if event.shipment_id in fresh]
    holds = await reservations.lock_holds(tx, [event.order_id for event in new])
    locked = await stock.lock_stock(tx, {line.variant_id for event in new for line in event.lines})
    for event in new:
        if event.shipment_id in fresh:
            fresh.remove(event.shipment_id)
            hand_over(holds, event, locked)
    await reservations.save_holds(tx, holds.values())
    answers: Answers = [[] for _ in events]
    return tell(events, answers, locked, await stock.save_stock(tx, locked))


def hand_over(holds: Mapping[UUID, Hold], event: ShipmentHandedOver, locked: Stock) -> None:
    """Take a parcel's pieces off the shelves and off what its order holds."""
    hold = holds.get(event.order_id)
    held = (
        {line.line_id: line for line in hold.lines if line.warehouse_id == event.warehouse_id}
        if hold
        else {}
    )
    for sent in event.lines:
        line = held.get(sent.line_id)
        if hold is None or line is None or not 0 < sent.quantity <= line.remaining:
            raise NeverPromised(f"shipment {event.shipment_id}, line {sent.line_id}")
        shelf = locked.shelf(line.variant_id, line.warehouse_id)
        locked.hand_over(shelf, sent.quantity, hold.order_id, were_held=hold.is_live)
        line.deducted += sent.quantity
        line.is_changed = True
    # A release that was received before this hand-over released pieces that had left already.
    if hold is not None and not any(line.remaining for line in hold.lines):
        hold.state = "fulfilled"


@bus.handles(RestockUnits)
async def restock_units(command: RestockUnits, tx: AsyncSession) -> list[StockEvent]:
    """Put pieces that came back onto their shelves; once per operation."""
    if not await reservations.first_time(tx, {command.operation_id: command.order_id}):
        return []
    places = await warehouses.keep_warehouses(tx, {line.warehouse_id for line in command.lines})
    locked = await stock.lock_stock(tx, {line.variant_id for line in command.lines})
    reason = command.reason[:LONGEST_REASON] or "came back"
    because = Because(reason, "return", command.order_id)
    for line in command.lines:
        if line.quantity < 1:
            raise ValueError(f"line {line.line_id} brings back {line.quantity} pieces")
        level = locked.level(line.variant_id)
        shelf = locked.find_shelf(level.variant_id, line.warehouse_id) or locked.put_up(
            level.variant_id, line.warehouse_id, is_active=places[line.warehouse_id].is_active
        )
        locked.restock(shelf, line.quantity, because)
    news = await stock.save_stock(tx, locked)
    return [event for events in news.values() for event in events]


@bus.handles_many(ProductSnapshot)
@bus.handles_many(ProductChanged, low_priority=True)
async def learn_variants(events: Sequence[ProductState], tx: AsyncSession) -> None:
    """Know every variant that can be kept."""
    await stock.learn_variants(tx, events)


@bus.handles(RequestStockSnapshots)
async def request_stock_snapshots(
    command: RequestStockSnapshots, tx: AsyncSession
) -> list[Message]:
    """Tell one asker a page of levels as they are now, and ask ourselves for the next."""
    page = await stock.list_levels(tx, command.after, PAGE)
    answers: list[Message] = [level.snapshot(command.reply_to) for level in page]
    sent = command.sent + len(answers)
    if len(page) < PAGE:
        end = StockSnapshotsCompleted(request_id=command.request_id, sent=sent)
        return [*answers, end.addressed_to(command.reply_to, 1)]
    last = page[-1].variant_id
    next_page = {"after": last, "sent": sent, "operation_id": uuid5(command.request_id, str(last))}
    return [*answers, command.model_copy(update=next_page)]


@bus.handles(ProductSnapshotsCompleted)
async def log_bootstrap_completed(told: ProductSnapshotsCompleted, tx: AsyncSession) -> None:
    """The copy that was empty holds all there was."""
    log.info("copy filled", source=told.source(), told=told.sent)


Ordered = ReserveStock | ReleaseStock | ShipmentHandedOver


def tell(
    messages: Iterable[Ordered],
    answers: Answers,
    locked: Stock,
    news: Mapping[UUID, Sequence[StockEvent]],
) -> Answers:
    """Add what is told of each variant to the answer of the order that moved it last."""
    place = {message.order_id: answer for message, answer in zip(messages, answers, strict=True)}
    mover = {moved.variant_id: moved.because.reference_id for moved in locked.movements}
    for variant_id, events in news.items():
        order_id = mover.get(variant_id)
        answer = place[order_id] if order_id is not None else answers[-1]
        answer.extend(events)
    return answers
