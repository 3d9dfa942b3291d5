"""The routes: who may read which payment, and refunds by staff."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

from chassis.context import trace_id_of
from chassis.ids import new_id
from contracts.payments import PaymentRefunded
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import collect, run_sweep

Payments = Harness[Any]
TOKEN = "the guest's order token"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()


async def paid(payments: Payments, token: str = "tok_ok", **changes: Any) -> tuple[UUID, UUID]:
    command = collect(token, **changes)
    await payments.deliver(command)
    await payments.clear_outbox()
    query = "select id from payments where order_id = :order_id"
    [row] = await payments.sql(query, order_id=command.order_id)
    return command.order_id, row.id


def staff(payments: Payments) -> dict[str, str]:
    return payments.signed_in(permissions=("payments:read", "payments:refund"))


async def give_back(
    payments: Payments, payment_id: UUID, amount: int | None = None, key: str = "k", **headers: str
) -> Any:
    body: dict[str, Any] = {"reason": "a gesture"}
    if amount is not None:
        body["amount"] = {"amount": amount, "currency": "USD"}
    url = f"/v1/admin/payments/{payment_id}/refunds"
    sent = {**(headers or staff(payments)), "Idempotency-Key": key}
    return await payments.client.post(url, json=body, headers=sent)


async def test_a_customer_reads_the_payment_and_its_next_action(payments: Payments) -> None:
    customer = new_id()
    order_id, payment_id = await paid(payments, "tok_action", customer_id=customer)
    headers = payments.signed_in(customer_id=customer)
    answer = await payments.client.get(f"/v1/payments/{payment_id}", headers=headers)

    view = answer.json()
    assert answer.headers["etag"] == '"2"'
    assert view["status"] == "action_required"
    assert view["next_action"]["type"] == "redirect"
    assert view["amount"] == {"amount": 1999, "currency": "USD"}
    assert view["captured"] == {"amount": 0, "currency": "USD"}
    assert not {"provider_reference", "access_hash", "review_reason"} & view.keys()
    listed = await payments.client.get(f"/v1/payments?order_id={order_id}", headers=headers)
    assert listed.json() == {"items": [view], "next_cursor": None}


async def test_only_its_owner_sees_a_payment(payments: Payments) -> None:
    order_id, payment_id = await paid(payments, customer_id=new_id(), access_hash=HASH)
    url = f"/v1/payments/{payment_id}"

    async def status(**headers: str) -> int:
        return (await payments.client.get(url, headers=headers)).status_code

    assert await status(**{"X-Order-Token": TOKEN}) == 200
    assert await status(**payments.signed_in(permissions=("payments:read",))) == 200
    assert await status() == 401
    assert await status(**{"X-Order-Token": "another"}) == 404
    assert await status(**payments.signed_in()) == 404
    assert await status(**payments.signed_in(permissions=("orders:read",))) == 404
    listed = await payments.client.get(
        f"/v1/payments?order_id={order_id}", headers=payments.signed_in()
    )
    assert listed.json()["items"] == []


async def test_a_malformed_address_is_refused(payments: Payments) -> None:
    bad = ["/x", "", "?order_id=1"]
    for path in [*(f"/v1/payments{each}" for each in bad), "/v1/admin/payments?cursor=W10"]:
        answer = await payments.client.get(path, headers=staff(payments))
        assert answer.status_code in (400, 422), path


async def test_staff_list_and_filter_payments(payments: Payments) -> None:
    order_id, first = await paid(payments)
    _, second = await paid(payments, "tok_declined")
    headers = staff(payments)

    async def found(query: str) -> list[str]:
        answer = await payments.client.get(f"/v1/admin/payments{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [payment["id"] for payment in answer.json()["items"]]

    assert await found("") == [str(second), str(first)]
    assert await found("?status=captured") == [str(first)]
    assert await found(f"?order_id={order_id}&method=card") == [str(first)]
    assert await found("?needs_review=true") == []
    page = (await payments.client.get("/v1/admin/payments?limit=1", headers=headers)).json()
    assert await found(f"?limit=1&cursor={page['next_cursor']}") == [str(first)]
    assert (await payments.client.get("/v1/admin/payments")).status_code == 401
    refused = await payments.client.get("/v1/admin/payments", headers=payments.signed_in())
    assert refused.status_code == 403


async def test_staff_see_the_attempts_without_the_token(payments: Payments) -> None:
    _, payment_id = await paid(payments)
    assert (await give_back(payments, payment_id, 500)).status_code == 201
    answer = await payments.client.get(f"/v1/admin/payments/{payment_id}", headers=staff(payments))
    detail = answer.json()
    assert [attempt["kind"] for attempt in detail["attempts"]] == ["collect", "refund"]
    assert {attempt["state"] for attempt in detail["attempts"]} == {"finished"}
    assert [refund["state"] for refund in detail["refunds"]] == ["succeeded"]
    assert "tok_ok" not in answer.text


async def test_staff_refund_once_per_key(payments: Payments, provider: ProviderProcess) -> None:
    order_id, payment_id = await paid(payments)
    headers = staff(payments)
    first = await give_back(payments, payment_id, 500, **headers)
    again = await give_back(payments, payment_id, 500, **headers)

    assert first.status_code == 201, first.text
    assert first.json()["amount"] == {"amount": 500, "currency": "USD"}
    assert again.content == first.content
    [refunded] = await payments.published(PaymentRefunded)
    assert refunded.refunded_total.amount == 500
    assert str(refunded.operation_id) not in first.text
    assert provider.balances(str(order_id))["merchant"] == 1499


async def test_twenty_equal_concurrent_requests_refund_once(
    payments: Payments, provider: ProviderProcess
) -> None:
    order_id, payment_id = await paid(payments)
    headers = staff(payments)
    requests = (give_back(payments, payment_id, 500, **headers) for _ in range(20))
    answers = await asyncio.gather(*requests)

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert provider.balances(str(order_id))["merchant"] == 1499


async def test_a_refund_above_the_captured_amount_is_refused(payments: Payments) -> None:
    _, payment_id = await paid(payments)
    assert (await give_back(payments, payment_id, 1000, "k1")).status_code == 201
    refused = await give_back(payments, payment_id, 1000, "k2")
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_exceeds_captured")
    assert (await give_back(payments, payment_id, None, "k3")).json()["amount"]["amount"] == 999
    refused = await give_back(payments, payment_id, None, "k4")
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_exceeds_captured")


async def test_a_key_can_be_reused_after_a_refusal(payments: Payments) -> None:
    _, payment_id = await paid(payments, "tok_refund_fails_once")
    headers = staff(payments)
    refused = await give_back(payments, payment_id, 500, **headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_refused")
    assert (await give_back(payments, payment_id, 500, **headers)).status_code == 201


async def test_the_sweep_finishes_a_refund_without_a_response(
    payments: Payments, provider: ProviderProcess
) -> None:
    order_id, payment_id = await paid(payments)
    provider.kill()
    try:
        answer = await give_back(payments, payment_id, 500)
    finally:
        provider.start()
    assert (answer.status_code, answer.json()["state"]) == (202, "reserved")
    await payments.sql("update refunds set updated_at = now() - interval '1 minute'")

    assert await run_sweep(payments, "unanswered refunds") == 1
    assert len(await payments.published(PaymentRefunded)) == 1
    assert provider.balances(str(order_id))["merchant"] == 1499
    # The event is published in the trace of the request.
    [requested] = await payments.sql(
        "select request->>'traceparent' from payment_attempts where kind = 'refund'"
    )
    [settled] = await payments.sql(
        "select headers->>'cloudEvents:traceparent' from outbox order by seq desc limit 1"
    )
    assert trace_id_of(settled[0]) == trace_id_of(requested[0])


BAD_REFUNDS: list[dict[str, Any]] = [
    {},
    {"reason": ""},
    {"reason": "x" * 501},
    {"reason": "card 4242 4242 4242 4242"},
    {"reason": "x", "amount": {"amount": -1, "currency": "USD"}},
    {"reason": "x", "amount": {"amount": 10**30, "currency": "USD"}},
    {"reason": "x", "amount": {"amount": 1.5, "currency": "USD"}},
    {"reason": "x", "amount": {"amount": 1, "currency": "usd"}},
    {"reason": "x", "extra": 1},
    {"reason": "x\u0000"},
]


async def test_a_malformed_refund_is_refused_without_echoing_it(payments: Payments) -> None:
    url = f"/v1/admin/payments/{new_id()}/refunds"
    headers = {**staff(payments), "Idempotency-Key": "k"}
    for body in BAD_REFUNDS:
        answer = await payments.client.post(url, json=body, headers=headers)
        assert answer.status_code == 422, body
        assert "4242" not in answer.text


async def test_a_refund_needs_its_permission_a_key_and_a_payment(
    payments: Payments,
) -> None:
    _, payment_id = await paid(payments)
    reader = payments.signed_in(permissions=("payments:read",))
    assert (await give_back(payments, payment_id, 5, **reader)).status_code == 403
    assert (await give_back(payments, new_id(), 5)).status_code == 404
    url = f"/v1/admin/payments/{payment_id}/refunds"
    answer = await payments.client.post(url, json={"reason": "x"}, headers=staff(payments))
    assert answer.json()["code"] == "idempotency_key_missing"
    zero = await give_back(payments, payment_id, 0)
    assert (zero.status_code, zero.json()["code"]) == (409, "amount_not_positive")
