"""Hearing: one message or trigger, one move of the table, one line in the log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.inventory import StockRejected, StockReleased
from contracts.message import Command, Message
from contracts.payments import PaymentCaptured, PaymentEvent, PaymentFailed, PaymentRefunded
from contracts.promotions import PromotionsRejected, PromotionsReleased
from contracts.shipping import ShipmentsCancelled, ShipmentsCreated, ShipmentsPartlyCancelled
from orders.domain.checkout import Checkout
from orders.domain.order import Stage
from orders.saga import forward
from orders.saga.table import ANSWERS, FINAL, MOVES, REASONS, TURNS_BACK, Move
from orders.saga.triggers import CancelRequested, DeadlinePassed, Placed
from orders.settings import Deadlines


class UnexpectedReply(Exception):
    """An answer to a command that was never sent: a bug or a forgery, so it is said loudly."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What hearing something led to; `outcome` is `moved` or `ignored`."""

    outcome: str
    before: Stage
    heard: str
    sent: list[Message]


def begin(order: Checkout, now: datetime, deadlines: Deadlines) -> list[Message]:
    """Start the saga of a new order."""
    (move,) = MOVES[None, Placed]
    return _take(order, move, Placed(), now, deadlines)


def apply(order: Checkout, heard: object, now: datetime, deadlines: Deadlines) -> Heard:
    """Take the move that the table allows, or none.

    Raises UnexpectedReply for the answer to a command that was never sent.
    """
    before = order.stage
    name = type(heard).__name__
    asked_by = ANSWERS.get(type(heard))
    if asked_by is not None and not order.was_asked(asked_by):
        raise UnexpectedReply(f"{name} while {order.stage}, but {asked_by} was never sent")
    _note(order, heard)
    move = find(order, heard)
    if move is None:
        return Heard("ignored", before, name, [])
    return Heard("moved", before, name, _take(order, move, heard, now, deadlines))


def find(order: Checkout, heard: object) -> Move | None:
    """The move for what was heard, if the table has one whose guard holds."""
    moves = MOVES.get((order.stage, type(heard)), ())
    return next((move for move in moves if move.when(order)), None)


def _note(order: Checkout, heard: object) -> None:
    """Take over facts that hold whatever the stage: money moved, or something was given back."""
    if isinstance(heard, PaymentCaptured):
        order.note_money(heard.captured.amount, None)
    elif isinstance(heard, PaymentRefunded):
        order.note_money(None, heard.refunded_total.amount)
    elif isinstance(heard, StockReleased):
        order.progress["stock_released"] = True
    elif isinstance(heard, PromotionsReleased):
        order.progress["promotions_released"] = True
    elif isinstance(heard, ShipmentsCreated):
        order.progress["parcels_named"] = True
    elif isinstance(heard, ShipmentsCancelled | ShipmentsPartlyCancelled):
        order.progress["is_recalled"] = True
    if isinstance(heard, PaymentEvent):
        forward.note_payment(order, heard)
        order.progress["payment_sequence"] = max(heard.sequence, order.payment_sequence)


def is_early(order: Checkout, heard: object) -> bool:
    """Whether an earlier event of the payment is missing while it could turn the saga elsewhere.

    Up to the pivot a promise and its withdrawal, or a decline and a later success, lead to
    different ends in different orders. After it, what is stored decides.
    """
    if order.stage not in (Stage.COLLECTING, Stage.AWAITING_CUSTOMER):
        return False
    return isinstance(heard, PaymentEvent) and heard.sequence > order.payment_sequence + 1


def _take(
    order: Checkout, move: Move, heard: object, now: datetime, deadlines: Deadlines
) -> list[Message]:
    reason = reason_for(order, heard)
    if reason is not None and move.to in TURNS_BACK:
        order.progress.setdefault("reason", reason)
    order.repeats = order.repeats + 1 if move.repeats else 0
    order.stage = move.to
    order.deadline_at = deadline(order, move.to, now, deadlines)
    sent = move.send(order, heard, now)
    for message in sent:
        if isinstance(message, Command):
            order.remember_asked(type(message).__name__)
    return sent


def reason_for(order: Checkout, heard: object) -> str | None:
    """Why the order ends, if what was heard turns it back; the first reason stands."""
    if isinstance(heard, CancelRequested):
        return heard.reason
    if isinstance(heard, DeadlinePassed):
        match order.stage:
            case Stage.RESERVING | Stage.REDEEMING | Stage.COLLECTING:
                return "timed_out"
            case Stage.AWAITING_CUSTOMER:
                return "payment_expired"
            case _:
                return None
    if isinstance(heard, StockRejected | PromotionsRejected | PaymentFailed):
        # The participant began nothing, because the command reached it after its deadline.
        return "timed_out" if heard.reason == "expired" else REASONS[type(heard)]
    return REASONS.get(type(heard))


def deadline(order: Checkout, stage: Stage, now: datetime, deadlines: Deadlines) -> datetime | None:
    """When the saga acts by itself if nothing is heard in this stage; None in a final stage."""
    if stage in FINAL or stage is Stage.NEEDS_REVIEW:
        return None
    if stage is Stage.AWAITING_CUSTOMER:
        by_transfer = order.payment_method == "bank_transfer"
        seconds = deadlines.transfer if by_transfer else deadlines.card_action
        return now + timedelta(seconds=seconds)
    base: float = getattr(deadlines, stage.value)
    return now + forward.repeat_after(order, base)
