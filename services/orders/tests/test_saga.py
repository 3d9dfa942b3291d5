"""The saga in stories: every fault path ends, and no event is published twice."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from saga_play import DEADLINES, DONE, NOW, after, an_order, message, play

from contracts.inventory import (
    ReleaseStock,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.money import Money
from contracts.orders import OrderCancelled, OrderConfirmed, OrderedLine
from contracts.payments import (
    CancelPayment,
    CollectPayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
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
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShippedLine,
)
from orders.domain.checkout import (
    CancelRequested,
    Checkout,
    DeadlinePassed,
)
from orders.domain.order import Stage
from orders.saga import engine


def test_a_paid_order_is_confirmed_and_shipped() -> None:
    assert after(*DONE) == (
        [CollectPayment, OrderConfirmed, CreateShipments],
        Stage.COMPLETED,
    )


def test_a_coupon_is_redeemed_between_stock_and_money() -> None:
    sent, stage = after(StockReserved, PromotionsRedeemed, PaymentCaptured, coupon=True)
    assert sent == [RedeemPromotions, CollectPayment, OrderConfirmed, CreateShipments]
    assert stage is Stage.FULFILLING


def test_a_free_order_needs_no_payment() -> None:
    assert after(StockReserved, total_amount=0) == (
        [OrderConfirmed, CreateShipments],
        Stage.FULFILLING,
    )


def test_a_declined_card_releases_the_stock() -> None:
    assert after(StockReserved, PaymentFailed, StockReleased) == (
        [CollectPayment, ReleaseStock, OrderCancelled],
        Stage.CANCELLED,
    )


def test_a_rejected_reservation_cancels_the_order_at_once() -> None:
    assert after(StockRejected) == ([OrderCancelled], Stage.CANCELLED)


def test_the_order_is_cancelled_once_stock_and_coupon_are_released() -> None:
    story = (StockReserved, PromotionsRedeemed, PaymentFailed)
    sent, stage = after(*story, StockReleased, coupon=True)
    assert (sent[-2:], stage) == ([ReleaseStock, ReleasePromotions], Stage.RELEASING)
    sent, stage = after(*story, StockReleased, PromotionsReleased, coupon=True)
    assert (sent[-1], stage) == (OrderCancelled, Stage.CANCELLED)


def test_a_rejected_coupon_releases_the_stock() -> None:
    sent, stage = after(
        StockReserved, PromotionsRejected, StockReleased, PromotionsReleased, coupon=True
    )
    assert sent[-1] is OrderCancelled
    assert stage is Stage.CANCELLED


def test_a_payment_that_takes_too_long_is_cancelled_never_assumed_failed() -> None:
    sent, stage = after(StockReserved, DeadlinePassed)
    assert (sent, stage) == ([CollectPayment, CancelPayment], Stage.CANCELLING_PAYMENT)


def test_money_captured_while_cancelling_is_refunded_and_the_order_ends_once() -> None:
    assert after(
        StockReserved, DeadlinePassed, PaymentCaptured, PaymentRefunded, StockReleased
    ) == (
        [CollectPayment, CancelPayment, RefundPayment, ReleaseStock, OrderCancelled],
        Stage.CANCELLED,
    )


def test_money_captured_after_the_cancellation_is_refunded_without_a_second_cancellation() -> None:
    story = (StockReserved, PaymentFailed, StockReleased, PaymentCaptured)
    sent, stage = after(*story, PaymentRefunded, StockReleased)
    assert sent.count(OrderCancelled) == 1
    assert sent[3:] == [RefundPayment, ReleaseStock]
    assert stage is Stage.CANCELLED


def test_an_authorization_after_the_cancellation_is_voided() -> None:
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


def test_a_failed_refund_is_retried_under_the_same_operation() -> None:
    _, _, order = play(StockReserved, DeadlinePassed)
    (first,) = engine.apply(order, message(PaymentCaptured, order), NOW, DEADLINES).sent
    engine.apply(order, message(RefundFailed, order), NOW, DEADLINES)
    (again,) = engine.apply(order, DeadlinePassed(), NOW, DEADLINES).sent
    assert isinstance(again, RefundPayment)
    assert again == first


def one_line(order: Checkout, **changes: Any) -> OrderedLine:
    """The only line of an order, changed."""
    (line,) = order.facts.lines
    order.facts.lines = [line.model_copy(update=changes)]
    return order.facts.lines[0]


def refunded(order: Checkout, total: int) -> PaymentRefunded:
    """The event of a staff refund, `total` so far."""
    money = order.money(total)
    return PaymentRefunded(order_id=order.order_id, refunded=money, refunded_total=money)


def test_a_staff_refund_is_not_refunded_again() -> None:
    _, _, order = play(*DONE)
    engine.apply(order, refunded(order, order.captured_amount), NOW, DEADLINES)
    engine.apply(order, CancelRequested("customer_request"), NOW, DEADLINES)
    recalled = engine.apply(order, message(ShipmentsCancelled, order), NOW, DEADLINES)
    assert (order.stage, [type(m) for m in recalled.sent]) == (Stage.RELEASING, [ReleaseStock])


def test_a_staff_refund_reduces_the_retried_refund() -> None:
    _, _, order = play(StockReserved, DeadlinePassed)
    (first,) = engine.apply(order, message(PaymentCaptured, order), NOW, DEADLINES).sent
    engine.apply(order, message(RefundFailed, order), NOW, DEADLINES)
    (rest,) = engine.apply(order, refunded(order, 700), NOW, DEADLINES).sent
    assert isinstance(rest, RefundPayment)
    assert rest.amount == order.money(order.captured_amount - 700)
    assert isinstance(first, RefundPayment)
    assert rest.operation_id != first.operation_id


def test_a_payment_that_needs_the_customer_waits_for_them() -> None:
    _, stage, order = play(StockReserved, PaymentActionRequired)
    assert stage is Stage.AWAITING_CUSTOMER
    assert order.deadline_at == NOW + timedelta(seconds=DEADLINES.card_action)
    assert after(StockReserved, PaymentActionRequired, PaymentCaptured)[1] is Stage.FULFILLING


def test_an_abandoned_payment_cancels_the_order_as_expired() -> None:
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


def test_cancelling_cash_on_delivery_cancels_the_payment() -> None:
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


def test_a_shipped_parcel_refuses_the_cancellation() -> None:
    _, stage, order = play(*DONE, CancelRequested, ShipmentAlreadySent)
    assert (stage, order.cancellation_state) == (Stage.COMPLETED, "refused")


def test_a_half_shipped_order_refunds_the_other_half() -> None:
    _, _, order = play(*DONE, CancelRequested)
    (refund, released) = engine.apply(
        order, message(ShipmentsPartlyCancelled, order), NOW, DEADLINES
    ).sent
    assert isinstance(refund, RefundPayment)
    assert refund.amount == Money(amount=1000, currency="USD")
    assert isinstance(released, ReleaseStock)
    assert order.stage is Stage.COMPLETED


@given(
    st.integers(1, 10_000),
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
)
def test_partial_refunds_of_a_line_add_up_to_its_amount(total: int, parts: list[int]) -> None:
    order = an_order()
    line = one_line(order, total_amount=total, quantity=sum(parts))
    amounts = [order.refund_pieces({line.line_id: pieces}) for pieces in parts]
    assert sum(amounts) == total
    assert min(amounts) >= 0
    # Pieces that went back already are not paid a second time.
    assert order.refund_pieces({line.line_id: 1}) == 0


def test_a_line_in_many_parcels_is_refunded_to_the_cent() -> None:
    _, _, order = play(*DONE, CancelRequested)
    line = one_line(order, total_amount=1000, quantity=3)
    piece = ShippedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=1)
    unsent = ShipmentsPartlyCancelled(order_id=order.order_id, unsent=[piece] * 3)
    (refund, _) = engine.apply(order, unsent, NOW, DEADLINES).sent
    assert isinstance(refund, RefundPayment)
    assert refund.amount == Money(amount=1000, currency="USD")
