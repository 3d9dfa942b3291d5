"""The metrics of checkouts that have not ended."""

from typing import Any

from orders.settings import OrdersSettings
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage


async def scrape(orders: Harness[OrdersSettings]) -> MetricsPage:
    return MetricsPage.of(await orders.client.get("/metrics"))


async def test_metrics_show_a_stuck_checkout(orders: Harness[OrdersSettings], guest: Any) -> None:
    empty = await scrape(orders)
    assert empty("cartwright_sagas_open", stage="reserving") == 0
    assert ("cartwright_sagas_open", frozenset({("stage", "needs_review")})) in empty.found

    assert (await guest.check_out()).status_code == 202
    await orders.sql("update checkout_sagas set created_at = now() - interval '1 hour'")
    waiting = await scrape(orders)
    assert waiting("cartwright_sagas_open", stage="reserving") == 1
    assert 3600 <= waiting("cartwright_saga_oldest_seconds", stage="reserving") < 3700
    assert waiting("cartwright_sagas_overdue") == 0

    await orders.sql("update checkout_sagas set deadline_at = now() - interval '2 minutes'")
    assert (await scrape(orders))("cartwright_sagas_overdue") == 1
