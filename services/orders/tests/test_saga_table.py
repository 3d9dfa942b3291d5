"""The saga's table as a whole: staff, late and repeated replies, and any sequence of messages."""

from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saga_play import DEADLINES, DONE, NOW, PAID, after, an_order, message, play

from contracts.inventory import (
    ReleaseStock,
    RestockUnits,
    StockReleased,
    StockReserved,
)
from contracts.notifications import Notify
from contracts.orders import OrderCancelled, OrderConfirmed, OrderPaymentChanged
from contracts.payments import (
    CancelPayment,
    CaptureFailed,
    CapturePayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentRefunded,
    RefundFailed,
    RefundPayment,
)
from contracts.promotions import (
    PromotionsRedeemed,
)
from contracts.shipping import (
    CreateShipments,
    ShipmentImpossible,
    ShipmentsCreated,
)
from orders.domain.checkout import (
    CancelRequested,
    CaptureDue,
    DeadlinePassed,
    Placed,
    RefusedAtDoor,
    ReviewRefund,
    ReviewRetry,
)
from orders.domain.order import PaymentStatus, Stage, Status
from orders.saga import engine, steps
from orders.saga.table import FINAL, MOVES, mermaid


def test_parcels_that_cannot_be_shipped_wait_for_staff() -> None:
    story = (*PAID, ShipmentImpossible)
    assert after(*story)[1] is Stage.NEEDS_REVIEW
    assert after(*story, ReviewRetry)[0][-1] is CreateShipments
    sent, stage = after(*story, ReviewRefund)
    assert (sent[-2:], stage) == ([RefundPayment, ReleaseStock], Stage.COMPLETED)


def test_cash_refused_at_the_door_restocks_and_ends() -> None:
    sent, stage = after(
        StockReserved,
        PaymentAuthorized,
        ShipmentsCreated,
        RefusedAtDoor,
        PaymentCancelled,
        StockReleased,
        payment_method="cod",
        capture="on_delivery",
    )
    assert [RestockUnits, CancelPayment] == sent[3:5]
    assert (sent[-1], stage) == (OrderCancelled, Stage.CANCELLED)


def test_cash_is_captured_on_delivery() -> None:
    sent, stage = after(
        StockReserved,
        PaymentAuthorized,
        ShipmentsCreated,
        CaptureDue,
        payment_method="cod",
        capture="on_delivery",
    )
    assert (sent[-1], stage) == (CapturePayment, Stage.COMPLETED)


@pytest.mark.parametrize("action", [(), (PaymentActionRequired,)])
def test_an_authorization_voided_by_the_provider_cancels_the_checkout(
    action: tuple[type, ...],
) -> None:
    sent, stage = after(StockReserved, *action, PaymentCancelled, StockReleased)
    assert (sent[-2:], stage) == ([ReleaseStock, OrderCancelled], Stage.CANCELLED)


PROMISED = {"capture": "on_shipment"}
LOST = [PaymentCancelled, CaptureFailed]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("place", [2, 3])
def test_an_order_that_lost_its_authorization_waits_for_staff(lost: type, place: int) -> None:
    story: list[type] = [StockReserved, PaymentAuthorized, ShipmentsCreated]
    story.insert(place, lost)
    sent, stage, order = play(*story, **PROMISED)
    assert stage is Stage.NEEDS_REVIEW
    assert sent.count(OrderPaymentChanged) == (lost is PaymentCancelled)
    assert order.status is Status.CONFIRMED
    # Staff cancel it, which gives no false reason, or the money arrives after all.
    _, stage, order = play(*story, CancelRequested, **PROMISED)
    assert (stage, order.progress.reason) == (Stage.RECALLING, "customer_request")
    assert play(*story, PaymentCaptured, **PROMISED)[1] is Stage.COMPLETED


@pytest.mark.parametrize("lost", LOST)
def test_a_lost_authorization_does_not_matter_once_the_money_is_captured(lost: type) -> None:
    story = (StockReserved, PaymentAuthorized, ShipmentsCreated)
    for events in ((PaymentCaptured, lost), (lost, PaymentCaptured)):
        _, stage, order = play(*story, *events, **PROMISED)
        assert (stage, order.payment_status) == (Stage.COMPLETED, PaymentStatus.PAID)


def test_a_staff_refund_that_the_provider_refused_is_no_error() -> None:
    assert after(*DONE, RefundFailed)[1] is Stage.COMPLETED


@pytest.mark.parametrize("reply", [StockReserved, PaymentCaptured, ShipmentsCreated])
def test_a_repeated_reply_is_ignored(reply: type) -> None:
    story = DONE[: DONE.index(reply) + 1]
    _, stage, order = play(*story)
    transition = engine.apply(order, message(reply, order), NOW, DEADLINES)
    if (stage, reply) not in MOVES:
        assert (transition.outcome, transition.sent, order.stage) == ("ignored", [], stage)


def test_a_reply_to_a_command_never_sent_raises() -> None:
    for reply in (PaymentCaptured, PromotionsRedeemed, ShipmentsCreated, StockReleased):
        with pytest.raises(engine.UnexpectedReply):
            play(reply)


def test_every_stage_can_be_left_and_every_stage_is_reached() -> None:
    assert {stage for stage, _ in MOVES if stage} == set(Stage)
    assert {move.to for moves in MOVES.values() for move in moves} == set(Stage)


def test_every_unfinished_stage_has_a_deadline() -> None:
    waiting = set(Stage) - FINAL - {Stage.NEEDS_REVIEW}
    assert {stage for stage, kind in MOVES if kind is DeadlinePassed} == waiting


def test_repetitions_wait_longer_each_time() -> None:
    _, _, order = play(StockReserved, DeadlinePassed)
    waits = []
    for _ in range(8):
        engine.apply(order, DeadlinePassed(), NOW, DEADLINES)
        assert order.deadline_at is not None
        waits.append((order.deadline_at - NOW).total_seconds())
    assert waits[:3] == [240, 480, 960]
    assert waits[-1] == 3600


REPLIES = sorted({kind for _, kind in MOVES if kind is not Placed}, key=lambda kind: kind.__name__)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(REPLIES), max_size=25),
    st.booleans(),
    st.sampled_from([0, 2500]),
)
def test_any_sequence_of_messages_ends_the_order_once_and_retains_no_refused_money(
    triggers: list[type],
    coupon: bool,  # noqa: FBT001  (hypothesis passes by position)
    total: int,
) -> None:
    order = an_order(coupon=coupon, total_amount=total)
    sent = engine.start(order, NOW, DEADLINES).sent
    for kind in triggers:
        try:
            sent += engine.apply(order, message(kind, order), NOW, DEADLINES).sent
        except engine.UnexpectedReply:
            continue
    kinds = [type(m) for m in sent]
    for message_sent in sent:
        if isinstance(message_sent, RefundPayment):
            assert message_sent.amount
            assert message_sent.amount.amount > 0
    assert kinds.count(OrderConfirmed) <= 1
    assert kinds.count(OrderCancelled) <= 1
    if order.stage is Stage.CANCELLED:
        assert order.status is Status.CANCELLED
        assert order.unrefunded_amount == 0
        assert order.is_released() or OrderCancelled in kinds
    if order.stage not in FINAL and order.stage is not Stage.NEEDS_REVIEW:
        assert order.deadline_at is not None
    numbers = [m.sequence for m in sent if not isinstance(m, Notify) and hasattr(m, "sequence")]
    assert numbers == sorted(numbers)


def test_the_diagram_in_the_readme_matches_the_table() -> None:
    readme = Path(__file__).resolve().parents[1] / "README.md"
    assert f"```mermaid\n{mermaid()}\n```" in readme.read_text()


def accepted_by(step: Any) -> type:
    """The class of message that a step is typed with; `object` for any."""
    _, trigger = list(get_type_hints(step).items())[:2]
    accepted: type = trigger[1]
    return accepted


def test_every_step_accepts_the_messages_of_its_rows() -> None:
    wrong = [
        f"{kind.__name__}: {move.step.__name__}"
        for (_, kind), moves in MOVES.items()
        for move in moves
        if not issubclass(kind, accepted_by(move.step))
    ]
    assert wrong == []
    assert accepted_by(steps.publish_refund) is PaymentRefunded
