"""RefundPayment: never more than was captured, once per operation."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.payments import PaymentRefunded, RefundFailed
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import collect, refund

Payments = Harness[Any]


async def paid(payments: Payments, token: str = "tok_ok") -> Any:
    command = collect(token)
    await payments.deliver(command)
    await payments.clear_outbox()
    return command.order_id


async def test_the_whole_amount_is_refunded_once(
    payments: Payments, provider: ProviderProcess
) -> None:
    order_id = await paid(payments)
    command, message_id = refund(order_id), new_id()
    for _ in range(2):
        await payments.deliver(command, message_id=message_id)
    await payments.deliver(command)

    first, again = await payments.published(PaymentRefunded)
    assert first.refunded.amount == first.refunded_total.amount == 1999
    assert again.model_dump() == first.model_dump()
    assert provider.balances(str(order_id)) == {}
    [row] = await payments.sql("select status, refunded_amount, refunding_amount from payments")
    assert tuple(row) == ("refunded", 1999, 0)
    [total] = await payments.sql(
        "select sum(amount) from ledger_entries where account = 'merchant'"
    )
    assert total[0] == 0


async def test_partial_refunds_reach_at_most_the_captured_amount(payments: Payments) -> None:
    order_id = await paid(payments)
    await payments.deliver(refund(order_id, 1000))
    await payments.deliver(refund(order_id, 1000))
    await payments.deliver(refund(order_id))
    await payments.deliver(refund(order_id))

    events = await payments.published()
    assert [type(event) for event in events] == [
        PaymentRefunded,
        RefundFailed,
        PaymentRefunded,
        PaymentRefunded,
    ]
    assert events[1].reason == "refund_exceeds_captured"
    assert [event.refunded.amount for event in events if isinstance(event, PaymentRefunded)] == [
        1000,
        999,
        0,
    ]


async def test_concurrent_refunds_return_at_most_the_captured_amount(
    payments: Payments, provider: ProviderProcess
) -> None:
    order_id = await paid(payments)
    await asyncio.gather(*(payments.deliver(refund(order_id, 1500)) for _ in range(5)))

    assert len(await payments.published(PaymentRefunded)) == 1
    assert len(await payments.published(RefundFailed)) == 4
    assert provider.balances(str(order_id)) == {"customer": -499, "merchant": 499}


async def test_a_refused_refund_can_be_requested_again(
    payments: Payments, provider: ProviderProcess
) -> None:
    order_id = await paid(payments, "tok_refund_fails_once")
    command = refund(order_id)
    await payments.deliver(command)
    [failed] = await payments.published(RefundFailed)
    assert (failed.reason, failed.operation_id) == ("refund_failed", command.operation_id)
    [row] = await payments.sql("select status, refunding_amount from payments")
    assert tuple(row) == ("captured", 0)

    await payments.deliver(command)
    [done] = await payments.published(PaymentRefunded)
    assert done.operation_id == command.operation_id
    assert provider.balances(str(order_id)) == {}
    [row] = await payments.sql("select state, tries from refunds")
    assert tuple(row) == ("succeeded", 2)


async def test_an_uncaptured_payment_cannot_be_refunded(payments: Payments) -> None:
    declined = collect("tok_declined")
    await payments.deliver(declined)
    await payments.deliver(refund(declined.order_id))
    await payments.deliver(refund(new_id()))

    reasons = [event.reason for event in await payments.published(RefundFailed)]
    assert reasons == ["not_captured", "not_captured"]


async def test_a_refund_in_another_currency_is_refused(payments: Payments) -> None:
    order_id = await paid(payments)
    command = refund(order_id, 100)
    assert command.amount is not None
    money = command.amount.model_copy(update={"currency": "EUR"})
    await payments.deliver(command.model_copy(update={"amount": money}))
    assert [event.reason for event in await payments.published(RefundFailed)] == [
        "currency_mismatch"
    ]


@pytest.mark.parametrize(
    "statement", ["update ledger_entries set amount = 1", "delete from ledger_entries"]
)
async def test_the_ledger_is_append_only(payments: Payments, statement: str) -> None:
    await paid(payments)
    with pytest.raises(Exception, match="append-only"):
        await payments.sql(statement)


async def test_a_ledger_transaction_sums_to_zero(payments: Payments) -> None:
    await paid(payments)
    with pytest.raises(Exception, match="sum to zero"):
        await payments.sql(
            "insert into ledger_entries "
            "(id, transaction_id, order_id, payment_id, kind, account, amount, currency) "
            "select gen_random_uuid(), gen_random_uuid(), order_id, id, 'capture', 'merchant', 5, "
            "'USD' from payments"
        )
