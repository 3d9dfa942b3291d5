"""Provider webhooks: signed, de-duplicated, in any order, before or after the response to our own call."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
)
from payments.clients.provider import OutcomeUnknown
from testkit.harness import Harness
from testkit.payment_provider import WEBHOOK_SECRET, ProviderProcess, Received, Receiver

from .commands import cancel, collect, refund, run_sweep

Payments = Harness[Any]
URL = "/v1/webhooks/payments/sandbox"
KEY = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))


def signed(body: bytes, *, key: bytes = KEY, at: float | None = None) -> dict[str, str]:
    webhook_id = f"evt_{new_id()}"
    timestamp = str(int(at if at is not None else time.time()))
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


async def forward(payments: Payments, *received: Received) -> None:
    names = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")
    for one in received:
        headers = {name: one.headers[name] for name in names}
        answer = await payments.client.post(URL, content=one.body, headers=headers)
        assert answer.status_code == 204, answer.text


async def kinds(payments: Payments) -> list[type[Any]]:
    return [type(event) for event in await payments.published()]


async def send(payments: Payments, event: dict[str, Any], **how: Any) -> int:
    body = json.dumps(event).encode()
    answer = await payments.client.post(URL, content=body, headers=signed(body, **how))
    return answer.status_code


async def wait(receiver: Receiver, order_id: Any, count: int = 1) -> list[Received]:
    return await asyncio.to_thread(receiver.wait, str(order_id), count)


async def test_a_webhook_after_the_response_changes_nothing(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect("tok_duplicate_webhooks")
    await payments.deliver(command)
    for one in await wait(receiver, command.order_id, 5):
        await forward(payments, one)

    assert await kinds(payments) == [PaymentCaptured]
    assert len(await payments.sql("select * from provider_events")) == 1
    assert len(await payments.sql("select * from ledger_entries")) == 2


async def test_a_webhook_before_the_response_publishes_once(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect("tok_slow")
    collecting = asyncio.create_task(payments.deliver(command))
    await forward(payments, *await wait(receiver, command.order_id))
    assert not collecting.done()
    assert len(await payments.published(PaymentCaptured)) == 1
    await collecting

    assert [event.sequence for event in await payments.published()] == [1]
    assert len(await payments.sql("select * from ledger_entries")) == 2


async def deliver_until_done(payments: Payments, command: Any) -> None:
    """Deliver a command until it succeeds, as the broker redelivers after a provider timeout."""
    message_id = new_id()
    for _ in range(20):
        try:
            await payments.deliver(command, message_id=message_id)
        except OutcomeUnknown:
            continue
        return
    raise AssertionError("the provider never responded in time")


async def test_webhooks_racing_with_responses_publish_each_payment_once(
    payments: Payments, receiver: Receiver
) -> None:
    commands = [collect("tok_duplicate_webhooks") for _ in range(25)]

    async def race(command: Any) -> None:
        collecting = asyncio.create_task(deliver_until_done(payments, command))
        received = await wait(receiver, command.order_id)
        await asyncio.gather(*(forward(payments, *received) for _ in range(3)), collecting)

    await asyncio.gather(*(race(command) for command in commands))

    events = await payments.published()
    assert sorted(str(event.order_id) for event in events) == sorted(
        str(command.order_id) for command in commands
    )
    assert {(type(event), event.sequence) for event in events} == {(PaymentCaptured, 1)}
    assert len(await payments.sql("select * from ledger_entries")) == 2 * len(commands)


async def test_a_webhook_alone_completes_a_payment(payments: Payments, receiver: Receiver) -> None:
    command = collect("tok_webhook_only")
    await payments.deliver(command)
    await forward(payments, *await wait(receiver, command.order_id))
    assert await kinds(payments) == [PaymentCaptured]


async def test_a_webhook_replaces_a_lost_response(payments: Payments, receiver: Receiver) -> None:
    command, message_id = collect("tok_error_after_charge"), new_id()
    with pytest.raises(Exception, match="500"):
        await payments.deliver(command, message_id=message_id)
    await forward(payments, *await wait(receiver, command.order_id))
    await payments.deliver(command, message_id=message_id)
    assert await kinds(payments) == [PaymentCaptured]


@pytest.mark.parametrize("turn", [lambda found: found, lambda found: found[::-1]])
async def test_webhooks_in_any_order_end_in_the_newest_state(
    payments: Payments, receiver: Receiver, turn: Callable[[list[Received]], list[Received]]
) -> None:
    command = collect("tok_reversed_webhooks")
    await payments.deliver(command)
    await forward(payments, *turn(await wait(receiver, command.order_id, 2)))

    [row] = await payments.sql("select status from payments")
    assert row.status == "captured"
    assert await kinds(payments) == [PaymentCaptured]


@pytest.mark.parametrize(
    ("step", "event"), [("confirm", PaymentCaptured), ("decline", PaymentFailed)]
)
async def test_the_customers_decision_arrives_by_webhook(
    payments: Payments, provider: ProviderProcess, receiver: Receiver, step: str, event: type
) -> None:
    command = collect("tok_action")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    provider.client.post(f"/pay/{charge['id']}/{step}")
    await forward(payments, *await wait(receiver, command.order_id))

    assert await kinds(payments) == [PaymentActionRequired, event]
    [row] = await payments.sql("select action_url from payments")
    assert row.action_url is None


async def test_the_webhook_of_a_refund_publishes_no_second_event(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect()
    await payments.deliver(command)
    await payments.deliver(refund(command.order_id, 500))
    await forward(payments, *await wait(receiver, command.order_id, 2))

    assert len(await payments.published(PaymentRefunded)) == 1
    [row] = await payments.sql("select status, refunded_amount, review_reason from payments")
    assert tuple(row) == ("partially_refunded", 500, None)


async def test_the_webhook_of_a_refund_may_arrive_first(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect()
    await payments.deliver(command)
    wanted, message_id = refund(command.order_id, 500), new_id()
    shape = payments.service.bus.external_calls[type(wanted)]
    async with payments.transaction() as tx:
        call = await shape.record(wanted, tx)
    await shape.call(call)
    await forward(payments, *await wait(receiver, command.order_id, 2))
    await payments.deliver(wanted, message_id=message_id)
    assert [event.refunded.amount for event in await payments.published(PaymentRefunded)] == [500]
    [row] = await payments.sql("select refunded_amount, refunding_amount from payments")
    assert tuple(row) == (500, 0)


async def test_a_redelivered_webhook_settles_no_refund(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect()
    await payments.deliver(command)
    wanted = refund(command.order_id, 500)
    shape = payments.service.bus.external_calls[type(wanted)]
    async with payments.transaction() as tx:
        call = await shape.record(wanted, tx)
    await shape.call(call)
    webhook = (await wait(receiver, command.order_id, 2))[-1]
    await payments.sql(
        "insert into provider_events (provider, event_id, type, charge, effect) "
        "values ('sandbox', :id, 'charge.refunded', '{}', 'known')",
        id=webhook.headers["webhook-id"],
    )
    await forward(payments, webhook)

    [row] = await payments.sql(
        "select r.state, p.refunding_amount, p.refunded_amount "
        "from refunds r join payments p on p.id = r.payment_id"
    )
    assert tuple(row) == ("reserved", 500, 0)
    await payments.deliver(wanted)
    assert [event.refunded.amount for event in await payments.published(PaymentRefunded)] == [500]


async def test_money_of_another_amount_is_captured_and_confirms_nothing(
    payments: Payments, provider: ProviderProcess, receiver: Receiver
) -> None:
    command = collect(None, method="bank_transfer")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1500})
    await forward(payments, *await wait(receiver, command.order_id))
    [row] = await payments.sql("select status, captured_amount, review_reason from payments")
    assert tuple(row) == ("action_required", 0, "amount_differs")

    assert await run_sweep(payments, "open payments") == 1
    [row] = await payments.sql("select status, captured_amount, review_reason from payments")
    assert tuple(row) == ("captured", 1500, "amount_differs")
    assert await kinds(payments) == [PaymentActionRequired]
    assert provider.balances(str(command.order_id))["merchant"] == 1500


async def test_a_transfer_of_the_exact_amount_pays_the_order(
    payments: Payments, provider: ProviderProcess, receiver: Receiver
) -> None:
    command = collect(None, method="bank_transfer")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1999})
    await forward(payments, *await wait(receiver, command.order_id))
    assert await kinds(payments) == [
        PaymentActionRequired,
        PaymentCaptured,
    ]


def event_of(charge: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "x", "type": "charge.succeeded", "data": {**charge, **changes}}


async def test_a_webhook_that_does_not_fit_moves_no_money(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect("tok_action")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    for changes in ({"amount": 1, "captured_amount": 1}, {"currency": "JPY"}, {"id": "ch_x"}):
        event = event_of(charge, status="succeeded", captured_amount=1999) | {}
        event["data"] |= changes
        assert await send(payments, event) == 204

    await run_sweep(payments, "open payments")
    [row] = await payments.sql("select status, captured_amount, review_reason from payments")
    assert tuple(row) == ("action_required", 0, "amount_differs")
    assert await payments.sql("select * from ledger_entries") == []


async def test_a_webhook_about_an_unknown_payment_has_no_effect(
    payments: Payments, provider: ProviderProcess
) -> None:
    charge = provider.charge()
    assert await send(payments, event_of(charge)) == 204
    assert await send(payments, event_of(charge, metadata={"payment_id": str(new_id())})) == 204
    assert await payments.published() == []
    rows = await payments.sql("select distinct effect from provider_events")
    assert [tuple(row) for row in rows] == [("unknown_payment",)]


async def test_an_older_status_never_replaces_a_newer_one(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect()
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    for status in ("pending", "requires_action", "authorized", "failed", "voided"):
        assert await send(payments, event_of(charge, status=status)) == 204
    [row] = await payments.sql("select status from payments")
    assert row.status == "captured"
    assert await kinds(payments) == [PaymentCaptured]


async def test_money_after_a_cancellation_is_published(
    payments: Payments, provider: ProviderProcess, receiver: Receiver
) -> None:
    command = collect(None, method="bank_transfer")
    await payments.deliver(command)
    await payments.deliver(cancel(command.order_id))
    [charge] = provider.charges_of(str(command.order_id))
    provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1999})
    await forward(payments, *await wait(receiver, command.order_id, 2))
    assert await kinds(payments) == [
        PaymentActionRequired,
        PaymentCancelled,
        PaymentCaptured,
    ]


async def test_an_authorization_voided_by_the_provider_is_published(
    payments: Payments, provider: ProviderProcess, receiver: Receiver
) -> None:
    command = collect(capture="on_shipment")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    provider.post_step(charge, "cancel")
    await forward(payments, *await wait(receiver, command.order_id, 2))
    assert await kinds(payments) == [PaymentAuthorized, PaymentCancelled]


async def test_both_secrets_are_valid_during_a_rotation(payments: Payments) -> None:
    charge = {"id": "ch_x", "status": "failed", "amount": 1, "currency": "USD"}
    charge |= {"captured_amount": 0, "refunded_amount": 0}
    assert await send(payments, event_of(charge), key=b"another secret") == 204
    assert await send(payments, event_of(charge), key=b"a third secret") == 401


BAD_HEADERS: list[dict[str, Any]] = [
    {"webhook-signature": None},
    {"webhook-signature": ""},
    {"webhook-signature": "v1,not base64!"},
    {"webhook-signature": "v1,é"},
    {"webhook-signature": "v1," + "A" * 44},
    {"webhook-signature": "v2,AAAA v1, v1,= ,"},
    {"webhook-id": None},
    {"webhook-id": "evt_other"},
    {"webhook-id": "e" * 101},
    {"webhook-timestamp": None},
    {"webhook-timestamp": "soon"},
    {"webhook-timestamp": "9" * 30},
    {"webhook-timestamp": "-1"},
]


async def test_a_bad_signature_is_refused(payments: Payments) -> None:
    body = b"{}"
    for bad in BAD_HEADERS:
        headers = {name: value for name, value in (signed(body) | bad).items() if value is not None}
        sent = {name: value.encode() for name, value in headers.items()}
        answer = await payments.client.post(URL, content=body, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature"), bad


async def test_an_old_or_altered_webhook_is_refused(payments: Payments) -> None:
    event = {"type": "charge.succeeded", "data": {}}
    for at in (time.time() - 301, time.time() + 302):
        assert await send(payments, event, at=at) == 401
    body = b'{"amount": 1}'
    answer = await payments.client.post(URL, content=b'{"amount": 2}', headers=signed(body))
    assert answer.status_code == 401
    assert await payments.sql("select * from provider_events") == []


async def test_a_signed_webhook_that_cannot_be_parsed_is_refused(payments: Payments) -> None:
    nested = b"[" * 5000
    for body in (b"", b"{", b"[]", b"{}", b"\xff", b'{"type": 1, "data": []}', nested):
        answer = await payments.client.post(URL, content=body, headers=signed(body))
        assert answer.status_code == 422, (body[:20], answer.text)


async def test_a_signed_webhook_with_a_text_that_cannot_be_stored_is_refused(
    payments: Payments, provider: ProviderProcess
) -> None:
    command = collect("tok_action")
    await payments.deliver(command)
    [charge] = provider.charges_of(str(command.order_id))
    odd = "a\0b"
    for event in (
        {"id": "x", "type": odd, "data": charge},
        event_of(charge, id=odd),
        event_of(charge, status="failed", failure_code=odd),
        event_of(charge, status="requires_action", next_action={"type": "redirect", "url": odd}),
        event_of(charge, paypal_email=odd),
    ):
        assert await send(payments, event) == 422, event
    assert await payments.sql("select * from provider_events") == []


async def test_a_webhook_for_another_provider_is_refused(payments: Payments) -> None:
    for provider, status in (("offline", 401), ("stripe", 404)):
        body = b"{}"
        url = f"/v1/webhooks/payments/{provider}"
        answer = await payments.client.post(url, content=body, headers=signed(body))
        assert answer.status_code == status
