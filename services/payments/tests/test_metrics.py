"""The gauges of unsettled payments."""

from typing import Any

from testkit.harness import Harness
from testkit.metrics_page import MetricsPage

from .commands import collect


async def scrape(payments: Harness[Any]) -> MetricsPage:
    return MetricsPage.of(await payments.client.get("/metrics"))


async def test_an_unsettled_payment_is_exported_with_its_age(payments: Harness[Any]) -> None:
    await payments.deliver(collect())
    settled = await scrape(payments)
    assert settled("cartwright_payments", status="initiated") == 0
    assert settled("cartwright_payment_oldest_seconds", status="initiated") == 0
    committed = "cartwright_messages_committed_total"
    assert settled(committed, message="payments.PaymentCaptured") >= 1


async def test_unsettled_payments_and_reviews_are_counted(payments: Harness[Any]) -> None:
    await payments.deliver(collect())
    await payments.sql(
        "update payments set status = 'initiated', review_reason = 'a test', "
        "created_at = now() - interval '1 hour'"
    )
    found = await scrape(payments)
    assert found("cartwright_payments", status="initiated") == 1
    assert 3600 <= found("cartwright_payment_oldest_seconds", status="initiated") < 3700
    assert found("cartwright_payments_in_review") == 1
