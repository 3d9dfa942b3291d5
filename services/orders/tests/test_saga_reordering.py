"""The events of one aggregate lead a saga to the same end in every order."""

from collections import deque
from collections.abc import Sequence
from itertools import permutations

import pytest
from saga_play import DEADLINES, NOW, message, play

from contracts.inventory import StockReleased, StockReserved
from contracts.message import Event
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
)
from contracts.promotions import PromotionsRedeemed, PromotionsReleased
from contracts.shipping import ShipmentsCreated
from orders.domain.checkout import Checkout, DeadlinePassed
from orders.saga import engine

PAYMENTS = [
    (PaymentActionRequired, PaymentCaptured),
    (PaymentActionRequired, PaymentFailed),
    (PaymentActionRequired, PaymentAuthorized, PaymentCancelled),
    (PaymentAuthorized, PaymentCancelled),
    (PaymentAuthorized, CaptureFailed),
    (PaymentAuthorized, CaptureFailed, PaymentCaptured),
    (PaymentAuthorized, PaymentCaptured, PaymentRefunded),
    (PaymentFailed, PaymentCaptured),
    (PaymentCaptured, PaymentDisputed, PaymentRefunded),
]


def deliver(order: Checkout, events: Sequence[Event]) -> None:
    """Bring events as a queue does: one that is early comes again after the others."""
    waiting = deque(events)
    while waiting:
        event = waiting.popleft()
        if engine.is_early(order, event):
            waiting.append(event)
        else:
            engine.apply(order, event, NOW, DEADLINES)


def state(order: Checkout) -> tuple[object, ...]:
    money = (order.captured_amount, order.refunded_amount, order.is_unpaid())
    return order.stage, order.status, order.payment_status, money


def number_events(order: Checkout, kinds: Sequence[type]) -> list[Event]:
    found = []
    for place, kind in enumerate(kinds, start=1):
        event = message(kind, order)
        assert isinstance(event, Event)
        if isinstance(event, PaymentRefunded):
            event = event.model_copy(update={"refunded_total": order.money(order.total_amount)})
        found.append(event.with_sequence(place))
    return found


@pytest.mark.parametrize("kinds", PAYMENTS, ids=lambda kinds: " ".join(k.__name__ for k in kinds))
def test_payment_events_lead_to_the_same_end_in_every_order(kinds: Sequence[type]) -> None:
    ends = set()
    for places in permutations(range(len(kinds))):
        _, _, order = play(StockReserved, capture="on_shipment")
        events = number_events(order, kinds)
        deliver(order, [events[place] for place in places])
        if "CreateShipments" in order.progress.commands_sent:
            engine.apply(order, message(ShipmentsCreated, order), NOW, DEADLINES)
        ends.add(state(order))
    assert len(ends) == 1


@pytest.mark.parametrize(
    "late", [StockReserved, PromotionsRedeemed], ids=["stock reserved", "coupon redeemed"]
)
def test_a_reservation_received_after_its_release_is_ignored(late: type) -> None:
    before = (StockReserved,) if late is PromotionsRedeemed else ()
    story = (*before, DeadlinePassed)
    released = (StockReleased, PromotionsReleased) if before else (StockReleased,)
    ends = set()
    for kinds in permutations([late, *released]):
        _, _, order = play(*story, *kinds, coupon=bool(before))
        ends.add(state(order))
    assert len(ends) == 1
