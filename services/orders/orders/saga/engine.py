"""The engine: one message or trigger, one move of the table, one line in the saga's log."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.message import Command, Message
from contracts.orders import CancelReason
from contracts.payments import (
    CaptureFailed,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRefunded,
)
from contracts.promotions import PromotionsRejected, PromotionsReleased
from contracts.shipping import ShipmentsCancelled, ShipmentsCreated, ShipmentsPartlyCancelled
from orders.domain.checkout import CancelRequested, Checkout, DeadlinePassed, Placed, Trigger
from orders.domain.order import PaymentStatus, Stage
from orders.saga.table import ANSWERS, FINAL, MOVES, REASONS, UNDOING, Move

Seconds = Annotated[float, Field(gt=0, le=10**8)]


class Deadlines(BaseModel):
    """How long the saga waits in each stage before it acts by itself, in seconds."""

    reserving: Seconds = 30
    redeeming: Seconds = 30
    collecting: Seconds = 60
    card_action: Seconds = 15 * 60
    transfer: Seconds = 7 * 24 * 3600
    cancelling_payment: Seconds = 120
    releasing: Seconds = 30
    refunding: Seconds = 60
    fulfilling: Seconds = 600
    recalling: Seconds = 120


class UnexpectedReply(Exception):
    """A reply to a command that was never sent: a bug or a forgery, never ignored."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What a message or trigger led to; `outcome` is `moved` or `ignored`."""

    outcome: str
    before: Stage
    trigger: str
    sent: list[Message]


def start(order: Checkout, now: datetime, deadlines: Deadlines) -> Transition:
    """Start the saga of a new order."""
    before = order.stage
    (move,) = MOVES[None, Placed]
    sent = _make_move(order, move, Placed(), now, deadlines)
    return Transition("moved", before, Placed.__name__, sent)


def apply(
    order: Checkout, trigger: Message | Trigger, now: datetime, deadlines: Deadlines
) -> Transition:
    """Make the move that the table has for a message or trigger, or none.

    Raises UnexpectedReply for the reply to a command that was never sent.
    """
    before = order.stage
    name = type(trigger).__name__
    command = ANSWERS.get(type(trigger))
    if command is not None and command not in order.progress.commands_sent:
        raise UnexpectedReply(f"{name} while {order.stage}, but {command} was never sent")
    note_facts(order, trigger)
    move = find_move(order, trigger)
    if move is None:
        if isinstance(trigger, DeadlinePassed):
            order.deadline_at = None
        return Transition("ignored", before, name, [])
    return Transition("moved", before, name, _make_move(order, move, trigger, now, deadlines))


def find_move(order: Checkout, trigger: Message | Trigger) -> Move | None:
    """The first move for a message or trigger whose condition holds."""
    moves = MOVES.get((order.stage, type(trigger)), ())
    return next((move for move in moves if move.when(order)), None)


def note_facts(order: Checkout, trigger: Message | Trigger) -> None:
    """Take over what holds in any stage: money moved, something was released, parcels changed."""
    progress = order.progress
    match trigger:
        case PaymentEvent():
            _note_payment(order, trigger)
        case StockReleased():
            progress.stock_released = True
        case PromotionsReleased():
            progress.promotions_released = True
        case ShipmentsCreated():
            progress.parcels_named = True
        case ShipmentsCancelled() | ShipmentsPartlyCancelled():
            progress.is_recalled = True
        case _:
            pass


def _note_payment(order: Checkout, event: PaymentEvent) -> None:
    progress = order.progress
    progress.payment_sequence = max(event.sequence, progress.payment_sequence)
    match event:
        case PaymentCaptured():
            order.note_money(event.captured.amount, None)
            order.note_payment(event)
        case PaymentRefunded():
            order.note_money(None, event.refunded_total.amount)
        case PaymentAuthorized():
            order.note_payment(event)
            if order.payment_status is PaymentStatus.PENDING:
                order.payment_status = PaymentStatus.AUTHORIZED
        case PaymentCancelled():
            progress.promise_broken = True
            if order.payment_status is PaymentStatus.AUTHORIZED:
                order.payment_status = PaymentStatus.FAILED
        case CaptureFailed():
            progress.promise_broken = True
        case _:
            pass


def is_early(order: Checkout, trigger: Message) -> bool:
    """Whether an earlier event of the payment is missing while it could turn the saga elsewhere.

    Up to the pivot a promise and its withdrawal, or a decline and a later success, lead to
    different ends in different orders. After it, the stored facts decide.
    """
    if order.stage not in (Stage.COLLECTING, Stage.AWAITING_CUSTOMER):
        return False
    return (
        isinstance(trigger, PaymentEvent) and trigger.sequence > order.progress.payment_sequence + 1
    )


def _make_move(
    order: Checkout, move: Move, trigger: Message | Trigger, now: datetime, deadlines: Deadlines
) -> list[Message]:
    reason = reason_for(order, trigger)
    if move.to in UNDOING and order.progress.reason is None:
        order.progress.reason = reason
    if isinstance(trigger, CancelRequested):
        order.cancellation_state = "requested"
    elif isinstance(trigger, StockReserved):
        order.progress.allocations = trigger.allocations
    order.repeats = order.repeats + 1 if move.repeats else 0
    order.stage = move.to
    order.deadline_at = deadline(order, now, deadlines)
    sent = move.step(order, trigger, now)
    for message in sent:
        if isinstance(message, Command):
            order.note_command(type(message).__name__)
    return sent


def reason_for(order: Checkout, trigger: Message | Trigger) -> CancelReason | None:
    """Why the order ends, if the trigger undoes it; the first reason stands."""
    if isinstance(trigger, CancelRequested):
        return trigger.reason
    if isinstance(trigger, DeadlinePassed):
        match order.stage:
            case Stage.RESERVING | Stage.REDEEMING | Stage.COLLECTING:
                return "timed_out"
            case Stage.AWAITING_CUSTOMER:
                return "payment_expired"
            case _:
                return None
    if isinstance(trigger, StockRejected | PromotionsRejected | PaymentFailed):
        # The participant began nothing, because the command reached it after its deadline.
        return "timed_out" if trigger.reason == "expired" else REASONS[type(trigger)]
    return REASONS.get(type(trigger))


def deadline(order: Checkout, now: datetime, deadlines: Deadlines) -> datetime | None:
    """When the saga acts by itself if nothing arrives in this stage; None in a final stage.

    The wait before a repetition doubles each time, up to an hour.
    """
    if order.stage in FINAL or order.stage is Stage.NEEDS_REVIEW:
        return None
    if order.stage is Stage.AWAITING_CUSTOMER:
        by_transfer = order.payment_method == "bank_transfer"
        seconds = deadlines.transfer if by_transfer else deadlines.card_action
        return now + timedelta(seconds=seconds)
    base: float = getattr(deadlines, order.stage.value)
    return now + timedelta(seconds=min(base * 2 ** min(order.repeats, 12), 3600))
