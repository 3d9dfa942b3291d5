"""CollectPayment against the real provider: once, whatever happens to the request or its response."""

from datetime import timedelta
from typing import Any

import pytest

from chassis.ids import new_id, utcnow
from contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
)
from payments.clients.provider import OutcomeUnknown, ProviderUnavailable
from payments.main import service
from testkit.harness import Harness, model_differences
from testkit.payment_provider import ProviderProcess

from .commands import PRICE, cancel, collect

Payments = Harness[Any]


def test_the_migrations_create_the_tables_of_the_models(template: str) -> None:
    assert model_differences(service, template) == []


async def test_a_good_card_is_charged_once(payments: Payments, provider: ProviderProcess) -> None:
    command, message_id = collect(), new_id()
    for _ in range(3):
        await payments.deliver(command, message_id=message_id)

    [captured] = await payments.published()
    assert (captured.order_id, captured.sequence) == (command.order_id, 1)
    assert (captured.amount, captured.captured) == (PRICE, PRICE)
    assert (captured.brand, captured.last_four) == ("visa", "4242")
    assert provider.balances(str(command.order_id)) == {"customer": -1999, "merchant": 1999}
    ledger = await payments.sql("select account, amount from ledger_entries order by amount")
    assert [tuple(row) for row in ledger] == [("customer", -1999), ("merchant", 1999)]


async def test_a_repeated_operation_publishes_the_stored_outcome(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect()
    await payments.deliver(command)
    await payments.deliver(command)

    assert [event.sequence for event in await payments.published(PaymentCaptured)] == [1, 2]
    assert len(provider.charges_of(str(command.order_id))) == 1
    assert len(await payments.sql("select * from ledger_entries")) == 2


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
        ("tok_of_no_card", "invalid_token"),
        ("tok_capture_fails", "capture_failed"),
    ],
)
async def test_a_declined_card_is_a_failed_payment(
    payments: Payments, token: str, reason: str
) -> None:
    command = collect(token)
    await payments.deliver(command)
    await payments.deliver(command)

    assert [event.reason for event in await payments.published(PaymentFailed)] == [reason, reason]
    assert await payments.sql("select * from ledger_entries") == []


async def test_another_operation_may_try_again_after_a_decline(payments: Payments) -> None:
    declined = collect("tok_declined")
    await payments.deliver(declined)
    await payments.deliver(collect(order_id=declined.order_id))

    failed, captured = await payments.published()
    assert isinstance(failed, PaymentFailed)
    assert isinstance(captured, PaymentCaptured)
    assert captured.sequence == 2


async def test_an_order_is_never_paid_twice(payments: Payments, provider: ProviderProcess) -> None:
    first = collect()
    await payments.deliver(first)
    await payments.deliver(collect(order_id=first.order_id))

    assert len(await payments.published(PaymentCaptured)) == 2
    assert len(provider.charges_of(str(first.order_id))) == 1


@pytest.mark.parametrize(
    "token", ["tok_timeout_after_charge", "tok_error_after_charge", "tok_drop_after_charge"]
)
async def test_a_lost_response_is_requested_again_with_the_same_key(
    payments: Payments, provider: ProviderProcess, token: str
) -> None:
    command, message_id = collect(token), new_id()
    with pytest.raises(OutcomeUnknown):
        await payments.deliver(command, message_id=message_id)
    assert await payments.published() == []

    await payments.deliver(command, message_id=message_id)
    assert len(await payments.published(PaymentCaptured)) == 1
    assert len(provider.charges_of(str(command.order_id))) == 1


async def test_an_unavailable_provider_does_not_count_as_a_failed_attempt(
    payments: Payments, provider: ProviderProcess
) -> None:
    command, message_id = collect(), new_id()
    provider.kill()
    try:
        with pytest.raises(ProviderUnavailable):
            await payments.deliver(command, message_id=message_id)
    finally:
        provider.start()
    await payments.deliver(command, message_id=message_id)
    assert len(await payments.published(PaymentCaptured)) == 1


async def test_a_slow_provider_is_awaited(payments: Payments) -> None:
    await payments.deliver(collect("tok_slow"))
    assert len(await payments.published(PaymentCaptured)) == 1


async def test_a_card_that_requires_confirmation_publishes_an_action(payments: Payments) -> None:
    command = collect("tok_action")
    await payments.deliver(command)

    [action] = await payments.published(PaymentActionRequired)
    assert "url" not in action.model_dump_json()
    [row] = await payments.sql("select status, action_type, action_url from payments")
    assert row.status == "action_required"
    assert row.action_type == "redirect"


async def test_a_pending_charge_has_no_result_before_its_webhook(payments: Payments) -> None:
    await payments.deliver(collect("tok_webhook_only"))
    assert await payments.published() == []
    assert (await payments.sql("select status from payments"))[0].status == "initiated"


async def test_cash_on_delivery_is_authorized_without_a_provider(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect(None, method="cod", capture="on_delivery")
    await payments.deliver(command)

    [promised] = await payments.published()
    assert isinstance(promised, PaymentAuthorized)
    assert promised.capture == "on_delivery"
    assert provider.charges_of(str(command.order_id)) == []


async def test_a_payment_captured_on_shipment_is_only_authorized(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect(capture="on_shipment")
    await payments.deliver(command)

    [promised] = await payments.published(PaymentAuthorized)
    assert promised.last_four == "4242"
    assert provider.balances(str(command.order_id)) == {"customer": -1999, "held": 1999}


async def test_an_expired_command_is_not_charged(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect(expires_at=utcnow() - timedelta(seconds=1))
    await payments.deliver(command)
    await payments.deliver(command)

    assert [event.reason for event in await payments.published(PaymentFailed)] == [
        "expired",
        "expired",
    ]
    assert provider.charges_of(str(command.order_id)) == []


async def test_a_cancelled_order_is_not_charged(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect()
    await payments.deliver(cancel(command.order_id))
    await payments.deliver(command)
    await payments.deliver(command)

    reasons = [event.reason for event in await payments.published(PaymentFailed)]
    assert reasons == ["cancelled", "cancelled"]
    assert [event.sequence for event in await payments.published()] == [1, 2, 3]
    assert provider.charges_of(str(command.order_id)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": None}, "token_missing"),
        ({"token": "4242 4242 4242 4242"}, "card_number_refused"),
        ({"token": "pm_of_another_customer"}, "token_not_one_time"),
        ({"token": None, "saved_method_id": new_id()}, "saved_method_unknown"),
        ({"amount": PRICE.model_copy(update={"amount": 0})}, "amount_not_positive"),
    ],
)
async def test_an_invalid_command_is_refused_without_calling_the_provider(
    payments: Payments, provider: ProviderProcess, changes: dict[str, Any], reason: str
) -> None:
    command = collect(**changes)
    await payments.deliver(command)

    [failed] = await payments.published(PaymentFailed)
    assert failed.reason == reason
    assert provider.charges_of(str(command.order_id)) == []
    assert await payments.sql("select * from payment_attempts") == []


async def test_a_method_that_is_not_offered_is_refused(payments: Payments) -> None:
    await payments.sql("update payment_methods set enabled = false where code = 'card'")
    await payments.deliver(collect())
    assert [event.reason for event in await payments.published(PaymentFailed)] == [
        "method_unavailable"
    ]


async def test_the_one_time_token_is_erased_once_the_outcome_is_known(
    payments: Payments,
) -> None:
    await payments.deliver(collect())
    [attempt] = await payments.sql("select request, state from payment_attempts")
    assert attempt.state == "finished"
    assert "token" not in attempt.request
