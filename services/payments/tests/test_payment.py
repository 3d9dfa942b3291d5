"""The rules of a payment and its refunds, without a database or a provider."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.money import Money
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
)
from payments.domain.charge import Charge, ChargeRefund, NextAction
from payments.domain.payment import Payment
from payments.domain.refund import Refund, refund_refusal
from payments.domain.tables import Posting

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_payment(**changes: Any) -> Payment:
    facts: dict[str, Any] = {
        "id": new_id(),
        "order_id": new_id(),
        "amount": 1000,
        "currency": "USD",
        "method": "card",
        "capture": "now",
        "status": "initiated",
        "captured_amount": 0,
        "refunded_amount": 0,
        "refunding_amount": 0,
        "created_at": NOW,
    }
    return Payment(**(facts | changes))


def a_charge(status: Any, captured: int = 0, **changes: Any) -> Charge:
    facts: dict[str, Any] = {"reference": "ch", "amount": 1000, "currency": "USD"}
    return Charge(status=status, captured_amount=captured, **(facts | changes))


def published(payment: Payment, *charges: Charge) -> list[type]:
    return [type(event) for charge in charges for event in payment.apply_charge(charge, NOW).events]


REPORTS = [
    a_charge("pending"),
    a_charge("action_required", next_action=NextAction("redirect", "https://bank.example")),
    a_charge("authorized"),
    a_charge("captured", 1000),
]


@pytest.mark.parametrize("order", list(permutations(REPORTS)))
def test_reports_in_any_order_end_in_one_state_and_publish_each_change_once(order: Any) -> None:
    payment = a_payment()
    events = published(payment, *order, *order)

    assert payment.status == "captured"
    assert payment.action_url is None
    assert events[-1] is PaymentCaptured
    assert len(events) == len(set(events))


def test_each_step_is_published_in_order() -> None:
    payment = a_payment()
    assert published(payment, *REPORTS) == [
        PaymentActionRequired,
        PaymentAuthorized,
        PaymentCaptured,
    ]


def test_a_capture_is_posted_once() -> None:
    payment = a_payment()
    steps = [payment.apply_charge(a_charge("captured", 1000), NOW) for _ in range(2)]
    assert [step.postings for step in steps] == [[Posting("capture", 1000)], []]
    assert payment.paid_at == NOW


def test_an_authorized_payment_fails_as_a_failed_capture() -> None:
    assert published(a_payment(), a_charge("failed")) == [PaymentFailed]
    assert published(a_payment(status="authorized"), a_charge("failed")) == [CaptureFailed]


def test_another_amount_is_captured_and_flagged_and_confirms_nothing() -> None:
    payment = a_payment(status="action_required")
    step = payment.apply_charge(a_charge("captured", 900), NOW)
    assert step.events == []
    assert step.postings == [Posting("capture", 900)]
    assert payment.review_reason == "amount_differs"
    assert payment.collect_reply() is None
    assert isinstance(payment.current_event(), PaymentCaptured)


def test_a_charge_in_another_currency_or_with_another_id_is_only_flagged() -> None:
    for charge in (a_charge("captured", 1000, currency="EUR"), a_charge("captured", 1000)):
        payment = a_payment(provider_reference="another")
        assert payment.apply_charge(charge, NOW).events == []
        assert (payment.status, payment.review_reason) == ("initiated", "another_charge")


def test_a_refund_made_elsewhere_is_flagged() -> None:
    payment = a_payment(status="captured", captured_amount=1000, provider_reference="ch")
    payment.apply_charge(a_charge("captured", 1000, refunded_amount=10), NOW)
    assert payment.review_reason == "refunded_elsewhere"


def test_checks_become_rarer_with_age() -> None:
    payment = a_payment(status="action_required")
    minute = timedelta(minutes=1)
    pauses = []
    for age in (minute, 60 * minute, 7 * 24 * 60 * minute):
        payment.schedule_check(NOW + age, minute)
        assert payment.check_at is not None
        pauses.append(payment.check_at - NOW - age)
    assert pauses == [minute, 12 * minute, 60 * minute]


def a_refund(payment: Payment, amount: int) -> Refund:
    return Refund(
        id=new_id(), payment_id=payment.id, operation_id=new_id(), amount=amount, state="", tries=0
    )


def result_of(refund: Refund, *, succeeded: bool) -> ChargeRefund:
    return ChargeRefund(reference=refund.key, succeeded=succeeded, amount=refund.amount)


def test_a_reserved_amount_cannot_be_refunded_twice() -> None:
    payment = a_payment(status="captured", captured_amount=1000)
    a_refund(payment, 700).reserve(payment)
    assert refund_refusal(payment, Money(amount=301, currency="USD")) == "refund_exceeds_captured"
    assert refund_refusal(payment, Money(amount=300, currency="USD")) is None
    a_refund(payment, 300).reserve(payment)
    assert refund_refusal(payment, None) == "refund_in_progress"


def test_the_first_result_of_the_last_try_settles_a_refund() -> None:
    payment = a_payment(status="captured", captured_amount=1000)
    refund = a_refund(payment, 1000)
    refund.reserve(payment)
    first_try = result_of(refund, succeeded=False)
    failed = refund.settle(payment, first_try, NOW)
    refund.reserve(payment)
    ignored = refund.settle(payment, first_try, NOW)
    done = refund.settle(payment, result_of(refund, succeeded=True), NOW)
    again = refund.settle(payment, result_of(refund, succeeded=True), NOW)

    steps = (failed, ignored, done, again)
    assert [[type(event) for event in step.events] for step in steps] == [
        [RefundFailed],
        [],
        [PaymentRefunded],
        [],
    ]
    assert (payment.status, payment.refunded_amount, payment.refunding_amount) == (
        "refunded",
        1000,
        0,
    )
