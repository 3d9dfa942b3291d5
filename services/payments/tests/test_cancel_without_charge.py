"""CancelPayment while the outcome of the charge is unknown: no charge is sent afterwards."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from chassis import outbox
from chassis.ids import new_id
from contracts.payments import (
    CollectPayment,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
)
from payments.clients.provider import OutcomeUnknown
from payments.handlers import ChargeCall, Collect
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import cancel, collect, run_sweep

Payments = Harness[Any]


async def come_due(payments: Payments) -> None:
    await payments.sql(
        "update payments set check_at = now() - interval '1 s' where check_at > now()"
    )
    await run_sweep(payments, "open payments")


async def time_limit_passes(payments: Payments) -> None:
    await payments.sql("update order_payments set cancelled_at = cancelled_at - interval '1 hour'")
    await come_due(payments)


@dataclass
class PausedCollect:
    """A CollectPayment whose process stopped between its record and its request."""

    payments: Payments
    command: CollectPayment
    call: ChargeCall

    @classmethod
    async def before_the_request(
        cls, payments: Payments, command: CollectPayment
    ) -> "PausedCollect":
        async with payments.running.database.transaction() as tx:
            call = await Collect().record(command, tx)
        assert isinstance(call, ChargeCall)
        return cls(payments, command, call)

    async def resume(self) -> None:
        outcome = await Collect().call(self.call)
        async with self.payments.running.database.transaction() as tx:
            events = await Collect().finish(self.command, self.call, outcome, tx)
            outbox.add(tx, *events)


async def test_a_charge_that_never_arrived_is_never_sent(
    payments: Payments, provider: ProviderProcess
) -> None:
    command, message_id = collect(), new_id()
    provider.kill()
    try:
        with pytest.raises(OutcomeUnknown):
            await payments.deliver(command, message_id=message_id)
    finally:
        provider.start()

    await payments.deliver(cancel(command.order_id))
    await payments.deliver(command, message_id=message_id)
    await come_due(payments)
    # The request may still be in flight, so no event is published yet.
    assert await payments.published() == []
    await time_limit_passes(payments)

    assert [type(event) for event in await payments.published()] == [PaymentCancelled]
    assert provider.charges_of(str(command.order_id)) == []
    attempts = await payments.sql("select request from payment_attempts")
    assert all("token" not in json.dumps(row.request) for row in attempts)


@pytest.mark.parametrize("is_voided", [False, True])
async def test_money_that_appears_after_the_cancellation_is_published(
    payments: Payments, provider: ProviderProcess, *, is_voided: bool
) -> None:
    frozen = await PausedCollect.before_the_request(payments, collect())
    await payments.deliver(cancel(frozen.command.order_id))
    if is_voided:
        await time_limit_passes(payments)
    await frozen.resume()

    kinds = [type(event) for event in await payments.published()]
    assert kinds == [PaymentCancelled] * is_voided + [PaymentCaptured]
    assert len(provider.charges_of(str(frozen.command.order_id))) == 1


@pytest.mark.parametrize("token", ["tok_ok", "tok_action", "tok_webhook_only"])
async def test_a_charge_that_appears_late_is_cancelled(
    payments: Payments, provider: ProviderProcess, token: str
) -> None:
    frozen = await PausedCollect.before_the_request(payments, collect(token, capture="on_shipment"))
    await payments.deliver(cancel(frozen.command.order_id))
    await time_limit_passes(payments)
    await frozen.resume()
    # Orders cancels a late authorization with CancelPayment; the sweep finds the others.
    if await payments.published(PaymentAuthorized):
        await payments.deliver(cancel(frozen.command.order_id))
    await come_due(payments)

    assert [type(event) for event in await payments.published()][-1] is PaymentCancelled
    [charge] = provider.charges_of(str(frozen.command.order_id))
    assert charge["status"] == "voided"
