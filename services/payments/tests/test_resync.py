"""An operator resyncs a payment with its provider, and reads the provider's ledger."""

from typing import Any

from chassis.ids import new_id
from contracts.payments import PaymentCaptured, PaymentRefunded
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import PRICE, collect, refund

Payments = Harness[Any]
URL = "/v1/admin/ops/payments/reconciliation"
WHY = {"reason": "the test wants it"}
MAY = ("ops:read", "ops:write")


async def restate(payments: Payments, payment_id: Any) -> Any:
    headers = payments.signed_in(permissions=MAY)
    return await payments.client.post(f"{URL}/{payment_id}", json=WHY, headers=headers)


async def the_payment(payments: Payments) -> Any:
    (row,) = await payments.sql("select * from payments")
    return row


async def test_a_resync_restores_a_lost_capture_from_the_provider(payments: Payments) -> None:
    await payments.deliver(collect())
    payment = await the_payment(payments)
    await payments.clear_outbox()
    await payments.sql("update payments set status = 'initiated', captured_amount = 0")
    answer = await restate(payments, payment.id)
    (entry,) = await payments.sql("select * from audit_entries")

    assert (answer.status_code, answer.json()["captured_amount"]) == (200, PRICE.amount)
    assert [type(event) for event in await payments.published()] == [PaymentCaptured]
    assert (await payments.sql("select sum(amount) from ledger_entries"))[0][0] == 0
    assert (entry.before["status"], entry.after["status"]) == ("initiated", "captured")
    assert entry.reason == WHY["reason"]


async def test_a_resync_publishes_the_current_events_with_the_next_numbers(
    payments: Payments,
) -> None:
    command = collect()
    await payments.deliver(command)
    await payments.deliver(refund(command.order_id, 500))
    before = [event.sequence for event in await payments.published()]
    await payments.clear_outbox()
    assert (await restate(payments, (await the_payment(payments)).id)).status_code == 200
    events = await payments.published()

    assert [type(event) for event in events] == [PaymentCaptured, PaymentRefunded]
    assert [event.sequence for event in events] == [before[-1] + 1, before[-1] + 2]
    assert events[1].refunded_total.amount == 500


async def test_an_unavailable_provider_changes_nothing(
    payments: Payments, provider: ProviderProcess
) -> None:
    await payments.deliver(collect())
    await payments.clear_outbox()
    payment = await the_payment(payments)
    provider.kill()
    try:
        answer = await restate(payments, payment.id)
    finally:
        provider.start()
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    assert await payments.published() == []


async def test_positions_and_the_provider_ledger_can_be_compared(payments: Payments) -> None:
    captured_order, refunded_order = collect(), collect()
    for command in (captured_order, refunded_order):
        await payments.deliver(command)
    await payments.deliver(refund(refunded_order.order_id))
    headers = payments.signed_in(permissions=("ops:read",))
    ours = (await payments.client.get(URL, headers=headers)).json()["items"]
    page = (await payments.client.get(f"{URL}/provider", headers=headers)).json()
    theirs: dict[str, int] = {}
    for line in page["items"]:
        theirs[line["reference"]] = theirs.get(line["reference"], 0) + line["amount"]

    sums = {row["order_id"]: row["captured_amount"] - row["refunded_amount"] for row in ours}
    assert sums == {str(captured_order.order_id): PRICE.amount, str(refunded_order.order_id): 0}
    assert {order: theirs[order] for order in sums} == sums
    assert page["next_after"] is None
    later = await payments.client.get(f"{URL}?since=2100-01-01T00:00:00Z", headers=headers)
    assert later.json()["items"] == []


async def test_reconciliation_and_resync_need_their_permissions(payments: Payments) -> None:
    reads = payments.signed_in(permissions=("ops:read",))
    customer = payments.signed_in()
    for path in ("", "/provider"):
        assert (await payments.client.get(f"{URL}{path}", headers=customer)).status_code == 403
    path = f"{URL}/{new_id()}"
    assert (await payments.client.post(path, json=WHY, headers=reads)).status_code == 403
    assert (await restate(payments, new_id())).status_code == 404
