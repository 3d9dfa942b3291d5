"""Notifications and mails are pruned by age; a mail that is not sent yet is retained."""

import pytest

from .mail_harness import MailHarness, notify_command


async def test_notifications_are_pruned_after_a_year(mails: MailHarness) -> None:
    await mails.harness.deliver(notify_command())
    assert (await mails.harness.prune(364.9))["notifications"] == 0
    assert (await mails.harness.prune(365.1))["notifications"] == 1


@pytest.mark.parametrize("status", ["sent", "failed"])
async def test_a_mail_that_is_over_is_pruned(mails: MailHarness, status: str) -> None:
    await mails.harness.deliver(notify_command())
    await mails.harness.sql(
        "update email_messages set status = cast(:status as text), due_at = null, payload = '{}', "
        "sent_at = case when cast(:status as text) = 'sent' then now() end",
        status=status,
    )
    assert (await mails.harness.prune(539.9))["email_messages"] == 0
    assert (await mails.harness.prune(540.1))["email_messages"] == 1


@pytest.mark.parametrize("status", ["pending", "processing"])
async def test_a_mail_that_is_not_sent_is_retained(mails: MailHarness, status: str) -> None:
    await mails.harness.deliver(notify_command())
    await mails.harness.sql("update email_messages set status = :status", status=status)
    assert (await mails.harness.prune(3650))["email_messages"] == 0
