"""Attempts and webhooks are pruned once no dispute can follow; the books are retained."""

from typing import Any

from payments.domain.tables import DISPUTE_DAYS
from testkit.harness import Harness
from testkit.payment_provider import Receiver

from .commands import collect, refund
from .test_webhooks import forward, wait

Payments = Harness[Any]
BOOKS = ("order_payments", "payments", "refunds", "ledger_entries")


async def books(payments: Payments) -> list[list[Any]]:
    return [await payments.sql(f"select * from {table} order by 1") for table in BOOKS]


async def pruned(payments: Payments, days: float) -> tuple[int, int]:
    """The numbers of attempts and webhooks that were pruned."""
    found = await payments.prune(days)
    return found["payment_attempts"], found["provider_events"]


async def paid_and_refunded(payments: Payments, receiver: Receiver) -> None:
    command = collect()
    await payments.deliver(command)
    await forward(payments, *await wait(receiver, command.order_id))
    await payments.deliver(refund(command.order_id, 500))


async def test_attempts_and_webhooks_of_a_settled_payment_are_pruned(
    payments: Payments, receiver: Receiver
) -> None:
    await paid_and_refunded(payments, receiver)
    before = await books(payments)
    assert await pruned(payments, DISPUTE_DAYS - 0.01) == (0, 0)
    assert await pruned(payments, DISPUTE_DAYS + 0.01) == (2, 1)
    assert await books(payments) == before


async def test_an_unsettled_payment_retains_them(payments: Payments, receiver: Receiver) -> None:
    await paid_and_refunded(payments, receiver)
    for change, undo in {
        "status = 'authorized'": "status = 'partially_refunded'",
        "refunding_amount = 1": "refunding_amount = 0",
        "review_reason = 'amount_differs'": "review_reason = null",
        "check_at = now()": "check_at = null",
        "updated_at = now() + interval '1 year'": "updated_at = now()",
    }.items():
        await payments.sql(f"update payments set {change}")
        assert await pruned(payments, DISPUTE_DAYS + 1) == (0, 0), change
        await payments.sql(f"update payments set {undo}")
    assert await pruned(payments, DISPUTE_DAYS + 1) == (2, 1)


async def test_a_webhook_that_fits_no_payment_is_retained(payments: Payments) -> None:
    await payments.sql(
        "insert into provider_events (provider, event_id, type, charge, effect) "
        "values ('sandbox', 'evt_1', 'charge.captured', '{}', 'unknown_payment')"
    )
    assert await pruned(payments, 10 * DISPUTE_DAYS) == (0, 0)


async def test_a_webhook_that_is_sent_again_after_its_pruning_changes_nothing(
    payments: Payments, receiver: Receiver
) -> None:
    command = collect()
    await payments.deliver(command)
    received = await wait(receiver, command.order_id)
    await forward(payments, *received)
    before = (await books(payments))[1:]
    await payments.prune(DISPUTE_DAYS + 1)
    await forward(payments, *received)
    after = (await books(payments))[1:]
    assert [[row.id for row in rows] for rows in after] == [[r.id for r in rows] for rows in before]
    [payment] = await payments.sql("select status, captured_amount, refunded_amount from payments")
    assert tuple(payment) == ("captured", command.amount.amount, 0)
