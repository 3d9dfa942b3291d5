"""The saga's table: every row played, every fault path ends, nothing is said twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.ids import new_id
from contracts.inventory import (
    ReleaseStock,
    ReserveStock,
    RestockUnits,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.message import Message
from contracts.money import Money
from contracts.notifications import Notify
from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced
from contracts.payments import (
    CancelPayment,
    CaptureFailed,
    CapturePayment,
    CollectPayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
    RefundPayment,
)
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    RedeemPromotions,
    ReleasePromotions,
)
from contracts.shipping import (
    CancelShipments,
    CreateShipments,
    ShipmentAlreadySent,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShippedLine,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from orders.domain.checkout import Checkout
from orders.domain.order import PaymentStatus, Stage, Status
from orders.saga import process
from orders.saga.table import FINAL, MOVES
from orders.saga.triggers import (
    CancelRequested,
    CaptureDue,
    DeadlinePassed,
    Placed,
    RefusedAtDoor,
    ReviewRefund,
    ReviewRetry,
)
from orders.settings import Deadlines

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINES = Deadlines()


def an_order(**changes: Any) -> Checkout:
    line = {
        "line_id": str(new_id()),
        "variant_id": str(new_id()),
        "product_id": str(new_id()),
        "sku": "TEA-1",
        "quantity": 2,
        "unit_price_amount": 1000,
        "discount_amount": 0,
        "tax_amount": 0,
        "total_amount": 2000,
    }
    coupon = {"code": "SPRING", "coupon_id": str(new_id()), "discount_amount": 100}
    facts = {
        "lines": [line],
        "items": [{"name": "Tea", "quantity": 2}],
        "ship_to": {"recipient_name": "Ada", "line1": "1 Way", "city": "London", "country": "GB"},
        "email": "ada@example.com",
        "coupon": coupon if changes.pop("coupon", False) else None,
        "redeemer": "guest:abc",
        "shipping_method_id": str(new_id()),
        "lead_time_days": 0,
        "payment": {
            "token": "tok_ok",
            "saved_method_id": None,
            "capture": changes.pop("capture", "now"),
        },
        "link": "http://shop/orders/1",
    }
    total = changes.pop("total_amount", 2500)
    return Checkout(
        order_id=new_id(),
        order_number="2026-000001",
        cart_id=new_id(),
        customer_id=None,
        user_id=None,
        access_hash="h",
        status=Status.PENDING,
        payment_status=PaymentStatus.PENDING,
        currency="USD",
        shipping_amount=500,
        total_amount=total,
        captured_amount=0,
        refunded_amount=0,
        payment_method=changes.pop("payment_method", "card"),
        payment_id=None,
        payment_brand=None,
        payment_last_four=None,
        payment_reference=None,
        cancellation_state=None,
        placed_at=NOW,
        confirmed_at=None,
        cancelled_at=None,
        cancellation_reason=None,
        version=1,
        sequence=0,
        stage=Stage.RESERVING,
        deadline_at=None,
        repeats=0,
        facts=facts,
        progress={},
    )


def message(kind: type, order: Checkout) -> object:
    """A reply or trigger of a class, as it would arrive for this order."""
    usd = Money(amount=order.total_amount, currency="USD")
    line = order.lines()[0]
    part = ShippedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=1)
    special: dict[type, dict[str, Any]] = {
        StockReserved: {"allocations": []},
        StockRejected: {"reason": "insufficient"},
        PromotionsRedeemed: {
            "coupon_id": new_id(),
            "code": "SPRING",
            "discount": Money(amount=1, currency="USD"),
        },
        PromotionsRejected: {"reason": "used_up"},
        PaymentActionRequired: {"payment_id": new_id()},
        PaymentAuthorized: {"method": "card", "capture": "now", "payment_id": new_id()},
        PaymentCaptured: {"method": "card", "captured": usd, "payment_id": new_id()},
        PaymentFailed: {"reason": "card_declined"},
        PaymentRefunded: {
            "refunded": order.money(order.kept_amount),
            "refunded_total": order.money(order.captured_amount),
        },
        PaymentDisputed: {"dispute_id": new_id(), "reason": "fraud"},
        RefundFailed: {"reason": "away"},
        CaptureFailed: {"reason": "expired"},
        ShipmentsCreated: {"shipments": []},
        ShipmentImpossible: {"reason": "no carrier", "lines": []},
        ShipmentsPartlyCancelled: {"unsent": [part]},
    }
    if kind is CancelRequested:
        return CancelRequested("customer_request")
    if kind is ReviewRefund:
        return ReviewRefund(700)
    if not issubclass(kind, Message):
        return kind()
    made = kind(order_id=order.order_id, **special.get(kind, {}))
    return made.numbered(1)


def play(*kinds: type, **changes: Any) -> tuple[list[type], Stage, Checkout]:
    """Place an order and let its saga hear; returns what was sent but notices, and where it stands."""
    order = an_order(**changes)
    sent = process.begin(order, NOW, DEADLINES)
    for kind in kinds:
        sent += process.hear(order, message(kind, order), NOW, DEADLINES).sent
    return [type(m) for m in sent if not isinstance(m, Notify)], order.stage, order


def after(*kinds: type, **changes: Any) -> tuple[list[type], Stage]:
    """What was sent after the order was placed, and where it stands."""
    sent, stage, _ = play(*kinds, **changes)
    assert sent[:2] == [OrderPlaced, ReserveStock]
    return sent[2:], stage


PAID = (StockReserved, PaymentCaptured)
DONE = (*PAID, ShipmentsCreated)


def test_a_paid_order_is_confirmed_and_shipped() -> None:
    assert after(*DONE) == (
        [CollectPayment, OrderConfirmed, CreateShipments],
        Stage.COMPLETED,
    )


def test_a_coupon_is_redeemed_between_stock_and_money() -> None:
    sent, stage = after(StockReserved, PromotionsRedeemed, PaymentCaptured, coupon=True)
    assert sent == [RedeemPromotions, CollectPayment, OrderConfirmed, CreateShipments]
    assert stage is Stage.FULFILLING


def test_nothing_due_needs_no_payment() -> None:
    assert after(StockReserved, total_amount=0) == (
        [OrderConfirmed, CreateShipments],
        Stage.FULFILLING,
    )


def test_a_declined_card_gives_the_stock_back() -> None:
    assert after(StockReserved, PaymentFailed, StockReleased) == (
        [CollectPayment, ReleaseStock, OrderCancelled],
        Stage.CANCELLED,
    )


def test_out_of_stock_ends_the_order_at_once() -> None:
    assert after(StockRejected) == ([OrderCancelled], Stage.CANCELLED)


def test_both_stock_and_coupon_must_be_back_before_the_order_ends() -> None:
    story = (StockReserved, PromotionsRedeemed, PaymentFailed)
    sent, stage = after(*story, StockReleased, coupon=True)
    assert (sent[-2:], stage) == ([ReleaseStock, ReleasePromotions], Stage.RELEASING)
    sent, stage = after(*story, StockReleased, PromotionsReleased, coupon=True)
    assert (sent[-1], stage) == (OrderCancelled, Stage.CANCELLED)


def test_a_rejected_coupon_gives_the_stock_back() -> None:
    sent, stage = after(
        StockReserved, PromotionsRejected, StockReleased, PromotionsReleased, coupon=True
    )
    assert sent[-1] is OrderCancelled
    assert stage is Stage.CANCELLED


def test_a_payment_that_takes_too_long_is_cancelled_never_assumed_failed() -> None:
    sent, stage = after(StockReserved, DeadlinePassed)
    assert (sent, stage) == ([CollectPayment, CancelPayment], Stage.CANCELLING_PAYMENT)


def test_money_that_came_while_cancelling_is_refunded_and_the_order_ends_once() -> None:
    assert after(
        StockReserved, DeadlinePassed, PaymentCaptured, PaymentRefunded, StockReleased
    ) == (
        [CollectPayment, CancelPayment, RefundPayment, ReleaseStock, OrderCancelled],
        Stage.CANCELLED,
    )


def test_money_that_comes_after_the_end_is_refunded_without_a_second_end() -> None:
    story = (StockReserved, PaymentFailed, StockReleased, PaymentCaptured)
    sent, stage = after(*story, PaymentRefunded, StockReleased)
    assert sent.count(OrderCancelled) == 1
    assert sent[3:] == [RefundPayment, ReleaseStock]
    assert stage is Stage.CANCELLED


def test_a_promise_of_money_after_the_end_is_cancelled() -> None:
    sent, stage = after(
        StockReserved,
        PaymentFailed,
        StockReleased,
        PaymentAuthorized,
        PaymentCancelled,
        StockReleased,
    )
    assert CancelPayment in sent
    assert stage is Stage.CANCELLED


def test_a_refund_that_fails_is_asked_for_again_under_the_same_operation() -> None:
    _, _, order = play(StockReserved, DeadlinePassed, PaymentCaptured)
    first = order.operation(f"refund {order.captured_amount}")
    process.hear(order, message(RefundFailed, order), NOW, DEADLINES)
    (again,) = process.hear(order, DeadlinePassed(), NOW, DEADLINES).sent
    assert isinstance(again, RefundPayment)
    assert again.operation_id == first


def test_the_customer_may_have_to_act() -> None:
    _, stage, order = play(StockReserved, PaymentActionRequired)
    assert stage is Stage.AWAITING_CUSTOMER
    assert order.deadline_at == NOW + timedelta(seconds=DEADLINES.card_action)
    assert after(StockReserved, PaymentActionRequired, PaymentCaptured)[1] is Stage.FULFILLING


def test_an_abandoned_confirmation_ends_with_its_reason() -> None:
    _, stage, order = play(
        StockReserved, PaymentActionRequired, DeadlinePassed, PaymentCancelled, StockReleased
    )
    assert stage is Stage.CANCELLED
    assert order.cancellation_reason == "payment_expired"


def test_cancelling_after_confirmation_recalls_refunds_and_releases() -> None:
    assert after(*DONE, CancelRequested, ShipmentsCancelled, PaymentRefunded, StockReleased) == (
        [
            CollectPayment,
            OrderConfirmed,
            CreateShipments,
            CancelShipments,
            RefundPayment,
            ReleaseStock,
            OrderCancelled,
        ],
        Stage.CANCELLED,
    )


def test_cancelling_cash_on_delivery_cancels_the_promise() -> None:
    sent, stage = after(
        StockReserved,
        PaymentAuthorized,
        ShipmentsCreated,
        CancelRequested,
        ShipmentsCancelled,
        PaymentCancelled,
        StockReleased,
        payment_method="cod",
        capture="on_delivery",
    )
    assert RefundPayment not in sent
    assert (sent[-3:], stage) == ([CancelPayment, ReleaseStock, OrderCancelled], Stage.CANCELLED)


def test_cancelling_a_free_order_needs_no_payment() -> None:
    sent, stage = after(
        StockReserved,
        ShipmentsCreated,
        CancelRequested,
        ShipmentsCancelled,
        StockReleased,
        total_amount=0,
    )
    assert (sent[-2:], stage) == ([ReleaseStock, OrderCancelled], Stage.CANCELLED)


def test_a_parcel_that_is_gone_refuses_the_cancellation() -> None:
    _, stage, order = play(*DONE, CancelRequested, ShipmentAlreadySent)
    assert (stage, order.cancellation_state) == (Stage.COMPLETED, "refused")


def test_half_gone_gives_half_the_money_back() -> None:
    _, stage, order = play(*DONE, CancelRequested)
    (refund, released) = process.hear(
        order, message(ShipmentsPartlyCancelled, order), NOW, DEADLINES
    ).sent
    assert isinstance(refund, RefundPayment)
    assert refund.amount == Money(amount=1000, currency="USD")
    assert isinstance(released, ReleaseStock)
    assert order.stage is Stage.COMPLETED


def test_what_cannot_be_sent_waits_for_staff() -> None:
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


@pytest.mark.parametrize("reply", [StockReserved, PaymentCaptured, ShipmentsCreated])
def test_a_repeated_reply_changes_nothing(reply: type) -> None:
    story = DONE[: DONE.index(reply) + 1]
    sent, stage, order = play(*story)
    heard = process.hear(order, message(reply, order), NOW, DEADLINES)
    if (stage, reply) not in MOVES:
        assert (heard.outcome, heard.sent, order.stage) == ("ignored", [], stage)


def test_an_answer_to_a_command_never_sent_is_an_error() -> None:
    for reply in (PaymentCaptured, PromotionsRedeemed, ShipmentsCreated, StockReleased):
        with pytest.raises(process.UnexpectedReply):
            play(reply)


def test_every_stage_can_be_left_and_every_stage_is_reached() -> None:
    assert {stage for stage, _ in MOVES if stage} == set(Stage)
    assert {move.to for moves in MOVES.values() for move in moves} == set(Stage)


def test_every_unfinished_stage_has_a_deadline() -> None:
    waiting = set(Stage) - FINAL - {Stage.NEEDS_REVIEW}
    assert {stage for stage, heard in MOVES if heard is DeadlinePassed} == waiting


def test_repetitions_wait_longer_each_time() -> None:
    _, _, order = play(StockReserved, DeadlinePassed)
    waits = []
    for _ in range(8):
        process.hear(order, DeadlinePassed(), NOW, DEADLINES)
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
def test_whatever_is_heard_the_order_ends_once_and_keeps_no_money_it_refused(
    heard: list[type], coupon: bool, total: int
) -> None:
    order = an_order(coupon=coupon, total_amount=total)
    sent = process.begin(order, NOW, DEADLINES)
    for kind in heard:
        try:
            sent += process.hear(order, message(kind, order), NOW, DEADLINES).sent
        except process.UnexpectedReply:
            continue
    kinds = [type(m) for m in sent]
    assert kinds.count(OrderConfirmed) <= 1
    assert kinds.count(OrderCancelled) <= 1
    if order.stage is Stage.CANCELLED:
        assert order.status is Status.CANCELLED
        assert order.kept_amount == 0
        assert order.everything_given_back or OrderCancelled in kinds
    if order.stage not in FINAL and order.stage is not Stage.NEEDS_REVIEW:
        assert order.deadline_at is not None
    numbers = [m.sequence for m in sent if not isinstance(m, Notify) and hasattr(m, "sequence")]
    assert numbers == sorted(numbers)
