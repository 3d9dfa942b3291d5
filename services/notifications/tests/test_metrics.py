"""Metrics of mails that are not sent."""

from testkit.metrics_page import MetricsPage

from .mail_harness import MailHarness, notify_command


async def test_metrics_show_pending_mails_and_their_age(mails: MailHarness) -> None:
    async def scrape() -> MetricsPage:
        return MetricsPage.of(await mails.harness.client.get("/metrics"))

    assert (await scrape())("cartwright_mails", status="pending") == 0
    await mails.harness.deliver(notify_command())
    await mails.harness.sql("update email_messages set created_at = now() - interval '1 hour'")
    found = await scrape()
    assert found("cartwright_mails", status="pending") == 1
    assert 3600 <= found("cartwright_mail_oldest_seconds") < 3700
