"""What the metrics of notifications tell about mails that were not sent."""

from chassis.metrics_page import MetricsPage

from .shop import Shop, a_notice


async def test_a_mail_that_waits_is_seen_with_its_age(shop: Shop) -> None:
    async def scrape() -> MetricsPage:
        return MetricsPage.of(await shop.harness.client.get("/metrics"))

    assert (await scrape())("cartwright_mails", status="pending") == 0
    await shop.harness.deliver(a_notice())
    await shop.harness.sql("update email_messages set created_at = now() - interval '1 hour'")
    found = await scrape()
    assert found("cartwright_mails", status="pending") == 1
    assert 3600 <= found("cartwright_mail_oldest_seconds") < 3700
