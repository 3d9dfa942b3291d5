"""The sweep looks up payments whose webhook never arrived."""

from typing import Any

import pytest

from chassis.context import trace_id_of
from chassis.ids import new_id
from contracts.payments import PaymentActionRequired, PaymentCaptured
from payments.clients.provider import OutcomeUnknown
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import collect, run_sweep

Payments = Harness[Any]


async def come_due(payments: Payments) -> int | None:
    await payments.sql(
        "update payments set check_at = now() - interval '1 s' where check_at > now()"
    )
    return await run_sweep(payments, "open payments")


async def test_the_sweep_finds_a_confirmed_payment_without_its_webhook(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect("tok_action")
    await payments.deliver(command)
    assert await come_due(payments) == 1
    [charge] = provider.charges_of(str(command.order_id))
    provider.client.post(f"/pay/{charge['id']}/confirm")
    assert await come_due(payments) == 1

    assert [type(event) for event in await payments.published()] == [
        PaymentActionRequired,
        PaymentCaptured,
    ]
    assert await come_due(payments) == 0


async def test_the_sweep_publishes_in_the_trace_of_the_command(
    payments: Payments, provider: ProviderProcess
) -> None:
    for command in (collect("tok_action"), collect("tok_action")):
        await payments.deliver(command)
        [charge] = provider.charges_of(str(command.order_id))
        provider.client.post(f"/pay/{charge['id']}/confirm")
    assert await come_due(payments) == 2
    published = await payments.sql(
        "select subject, headers->>'cloudEvents:traceparent' as traceparent from outbox"
    )
    traces = {(row.subject, trace_id_of(row.traceparent)) for row in published}
    assert len(published) == 4
    assert len(traces) == 2


async def test_a_charge_whose_response_was_lost_is_found_by_its_order(
    payments: Payments, provider: ProviderProcess
) -> None:
    command, message_id = collect("tok_error_after_charge"), new_id()
    with pytest.raises(OutcomeUnknown):
        await payments.deliver(command, message_id=message_id)
    assert await come_due(payments) == 1
    await payments.deliver(command, message_id=message_id)
    assert [type(event) for event in await payments.published()] == [PaymentCaptured]


async def test_a_payment_is_not_checked_before_its_time(payments: Payments) -> None:
    await payments.deliver(collect("tok_action"))
    await payments.sql("update payments set check_at = now() + interval '1 hour'")
    assert await run_sweep(payments, "open payments") == 0


async def test_a_payment_of_an_unknown_provider_does_not_stop_the_others(
    payments: Payments, provider: ProviderProcess
) -> None:
    orphan, command = collect("tok_action"), collect("tok_action")
    for each in (orphan, command):
        await payments.deliver(each)
        [charge] = provider.charges_of(str(each.order_id))
        provider.client.post(f"/pay/{charge['id']}/confirm")
    await payments.sql(
        "update payments set provider = 'gone' where order_id = :id", id=orphan.order_id
    )
    assert await come_due(payments) == 2
    assert [event.order_id for event in await payments.published(PaymentCaptured)] == [
        command.order_id
    ]


async def test_an_unavailable_provider_is_called_again_later(
    payments: Payments, provider: ProviderProcess
) -> None:
    await payments.deliver(collect("tok_webhook_only"))
    provider.kill()
    try:
        assert await come_due(payments) == 1
    finally:
        provider.start()
    assert await payments.published() == []
    assert await come_due(payments) == 1
    assert [type(event) for event in await payments.published()] == [PaymentCaptured]
