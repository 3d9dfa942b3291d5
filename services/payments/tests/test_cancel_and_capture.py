"""CancelPayment and CapturePayment: the provider decides, no outcome is assumed."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id, utcnow
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentFailed,
)
from payments.clients.provider import OutcomeUnknown
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import cancel, capture, collect

Payments = Harness[Any]


async def status_of(payments: Payments) -> str:
    [row] = await payments.sql("select status from payments")
    return str(row.status)


async def test_an_order_without_a_payment_is_cancelled_at_once(payments: Payments) -> None:
    command = cancel(new_id())
    await payments.deliver(command)
    await payments.deliver(command)

    assert [event.sequence for event in await payments.published(PaymentCancelled)] == [1, 2]


async def test_an_authorized_payment_is_voided(
    payments: Payments, provider: ProviderProcess
) -> None:
    promised = collect(capture="on_shipment")
    await payments.deliver(promised)
    command = cancel(promised.order_id)
    await payments.deliver(command)
    await payments.deliver(command)

    authorized, *cancelled = await payments.published()
    assert isinstance(authorized, PaymentAuthorized)
    assert [type(event) for event in cancelled] == [PaymentCancelled, PaymentCancelled]
    assert provider.balances(str(promised.order_id)) == {}


async def test_a_payment_that_awaits_its_customer_is_cancelled(payments: Payments) -> None:
    command = collect("tok_action")
    await payments.deliver(command)
    await payments.deliver(cancel(command.order_id))

    assert [type(event) for event in await payments.published()] == [
        PaymentActionRequired,
        PaymentCancelled,
    ]
    [row] = await payments.sql("select status, action_url, check_at from payments")
    assert tuple(row) == ("voided", None, None)


async def test_a_capture_faster_than_the_cancel_is_published(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect("tok_late_capture")
    await payments.deliver(command)
    await payments.deliver(cancel(command.order_id))

    [late] = await payments.published(PaymentCaptured)
    assert late.captured.amount == 1999
    assert await payments.published(PaymentCancelled) == []
    assert provider.balances(str(command.order_id)) == {"customer": -1999, "merchant": 1999}


async def test_cancelling_a_captured_payment_publishes_the_capture(payments: Payments) -> None:
    paid = collect()
    await payments.deliver(paid)
    await payments.deliver(cancel(paid.order_id))
    assert [event.sequence for event in await payments.published(PaymentCaptured)] == [1, 2]


async def test_cancelling_a_declined_payment_changes_nothing(payments: Payments) -> None:
    declined = collect("tok_declined")
    await payments.deliver(declined)
    await payments.deliver(cancel(declined.order_id))
    assert [type(event) for event in await payments.published()] == [
        PaymentFailed,
        PaymentCancelled,
    ]


@pytest.mark.parametrize("token", ["tok_timeout_after_charge", "tok_error_after_charge"])
async def test_a_charge_of_unknown_outcome_is_looked_up_before_it_is_cancelled(
    payments: Payments, provider: ProviderProcess, token: str
) -> None:
    command, message_id = collect(token), new_id()
    with pytest.raises(OutcomeUnknown):
        await payments.deliver(command, message_id=message_id)
    await payments.deliver(cancel(command.order_id))
    await payments.deliver(command, message_id=message_id)

    assert [type(event) for event in await payments.published()] == [PaymentCaptured]
    assert len(provider.charges_of(str(command.order_id))) == 1


async def test_two_concurrent_cancels_end_in_one_state(payments: Payments) -> None:
    promised = collect(capture="on_shipment")
    await payments.deliver(promised)
    await asyncio.gather(*(payments.deliver(cancel(promised.order_id)) for _ in range(4)))

    assert await status_of(payments) == "voided"
    sequences = [event.sequence for event in await payments.published()]
    assert sorted(sequences) == list(range(1, len(sequences) + 1))


async def test_cash_on_delivery_is_captured_or_cancelled_without_a_provider(
    payments: Payments,
) -> None:
    paid, refused = (collect(None, method="cod", capture="on_delivery") for _ in range(2))
    await payments.deliver(paid)
    await payments.deliver(refused)
    await payments.deliver(capture(paid.order_id))
    await payments.deliver(cancel(refused.order_id))

    assert [type(event) for event in await payments.published()] == [
        PaymentAuthorized,
        PaymentAuthorized,
        PaymentCaptured,
        PaymentCancelled,
    ]
    [total] = await payments.sql(
        "select sum(amount) from ledger_entries where account = 'merchant'"
    )
    assert total[0] == 1999


async def test_an_authorized_payment_is_captured_once(
    payments: Payments, provider: ProviderProcess
) -> None:
    promised = collect(capture="on_shipment")
    await payments.deliver(promised)
    command, message_id = capture(promised.order_id), new_id()
    for _ in range(2):
        await payments.deliver(command, message_id=message_id)
    await payments.deliver(command)

    assert [event.sequence for event in await payments.published(PaymentCaptured)] == [2, 3]
    assert provider.balances(str(promised.order_id)) == {"customer": -1999, "merchant": 1999}
    assert len(await payments.sql("select * from ledger_entries")) == 2


async def test_a_refused_capture_publishes_capture_failed(payments: Payments) -> None:
    promised = collect("tok_capture_fails", capture="on_shipment")
    await payments.deliver(promised)
    command = capture(promised.order_id)
    await payments.deliver(command)
    await payments.deliver(command)

    reasons = [event.reason for event in await payments.published(CaptureFailed)]
    assert reasons == ["capture_failed", "capture_failed"]
    assert await status_of(payments) == "failed"


async def test_a_payment_that_is_not_authorized_cannot_be_captured(payments: Payments) -> None:
    cancelled = collect(capture="on_shipment")
    await payments.deliver(cancelled)
    await payments.deliver(cancel(cancelled.order_id))
    await payments.deliver(capture(cancelled.order_id))
    await payments.deliver(capture(new_id()))

    reasons = [event.reason for event in await payments.published(CaptureFailed)]
    assert reasons == ["cancelled", "payment_unknown"]


async def test_a_cancelled_order_is_not_captured(payments: Payments) -> None:
    promised = collect(capture="on_shipment")
    await payments.deliver(promised)
    # CancelPayment has stored its tombstone, and the provider has not responded yet.
    await payments.sql("update order_payments set cancelled_at = now()")
    await payments.deliver(capture(promised.order_id))
    assert [event.reason for event in await payments.published(CaptureFailed)] == ["cancelled"]
    assert await status_of(payments) == "authorized"


async def test_an_expired_capture_is_not_started(payments: Payments) -> None:
    promised = collect(capture="on_shipment")
    await payments.deliver(promised)
    await payments.deliver(capture(promised.order_id, expires_at=utcnow()))

    assert [event.reason for event in await payments.published(CaptureFailed)] == ["expired"]
    assert await status_of(payments) == "authorized"
