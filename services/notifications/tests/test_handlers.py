"""Commands to notify: idempotent, and ignored when switched off or expired."""

from datetime import timedelta
from typing import Any, get_args

from chassis.ids import new_id, utcnow
from contracts.identity import CustomerChanged
from contracts.notifications import NotificationType, SecurityWarning
from notifications.domain.notification import TYPES
from notifications.main import service
from testkit.harness import model_differences

from .mail_harness import MailHarness, notify_command, warn_command

KINDS, WARNINGS = get_args(NotificationType), get_args(SecurityWarning)


async def rows(mails: MailHarness, table: str) -> list[Any]:
    return await mails.harness.sql(f"select * from {table} order by id")


async def test_a_command_creates_a_notification_and_queues_a_mail(mails: MailHarness) -> None:
    notice = notify_command(
        facts={"order_number": "2026-7", "locale": "de", "total": {"amount": 5, "currency": "EUR"}}
    )
    await mails.harness.deliver(notice)

    (shown,) = await rows(mails, "notifications")
    assert (shown.user_id, shown.type, shown.read_at) == (notice.user_id, notice.type, None)
    assert shown.title == "Ihre Bestellung 2026-7 ist bestätigt"
    assert (shown.reference_type, shown.reference_id) == ("order", notice.reference_id)
    (email,) = await rows(mails, "email_messages")
    assert (email.recipient, email.locale, email.status) == ("ada@example.com", "de", "pending")
    assert email.payload["total"] == {"amount": 5, "currency": "EUR"}
    assert email.subject == shown.title


async def test_a_repeated_command_notifies_once(mails: MailHarness) -> None:
    notice = notify_command()
    await mails.harness.deliver(notice, notice)
    await mails.harness.deliver(notice)
    again = notice.model_copy(update={"operation_id": new_id(), "recipient": "eve@example.com"})
    await mails.harness.deliver(again)

    assert len(await rows(mails, "notifications")) == 1
    assert [row.recipient for row in await rows(mails, "email_messages")] == ["ada@example.com"]


async def test_notifications_are_unique_by_type_reference_and_user(mails: MailHarness) -> None:
    notice = notify_command()
    await mails.harness.deliver(
        notice,
        notice.model_copy(update={"type": "order_shipped"}),
        notice.model_copy(update={"reference_id": new_id()}),
        notice.model_copy(update={"reference_type": "shipment"}),
        notice.model_copy(update={"user_id": new_id()}),
    )
    assert len(await rows(mails, "notifications")) == 5
    assert len(await rows(mails, "email_messages")) == 4


async def test_guests_get_only_mails_and_users_without_an_address_only_the_app(
    mails: MailHarness,
) -> None:
    await mails.harness.deliver(notify_command(user_id=None), notify_command(recipient=None))
    assert [row.user_id for row in await rows(mails, "email_messages")] == [None]
    assert len(await rows(mails, "notifications")) == 1


async def test_a_switched_off_channel_is_skipped(mails: MailHarness) -> None:
    quiet = new_id()
    await mails.harness.sql(
        "insert into preferences (user_id, switched_off, version) values "
        "(:id, array['order_shipped:email', 'order_delivered:in_app'], 1)",
        id=quiet,
    )
    await mails.harness.deliver(
        notify_command("order_shipped", user_id=quiet),
        notify_command("order_delivered", user_id=quiet),
        notify_command("order_shipped"),
    )
    shown = [(row.type, row.user_id == quiet) for row in await rows(mails, "notifications")]
    queued = [(row.type, row.user_id == quiet) for row in await rows(mails, "email_messages")]
    assert shown == [("order_shipped", True), ("order_shipped", False)]
    assert queued == [("order_delivered", True), ("order_shipped", False)]


async def test_an_expired_command_is_ignored(mails: MailHarness) -> None:
    late = utcnow() - timedelta(seconds=1)
    await mails.harness.deliver(notify_command(expires_at=late), notify_command())
    assert len(await rows(mails, "notifications")) == 1
    assert len(await rows(mails, "email_messages")) == 1


async def test_every_type_is_accepted_without_facts_and_with_malformed_ones(
    mails: MailHarness,
) -> None:
    odd = {"name": "a\0b", "items": "x" * 50_000, "order_number": "9" * 5000, "locale": "??"}
    await mails.harness.deliver(
        *(notify_command(kind, facts=facts) for kind in KINDS for facts in ({}, odd))
    )
    await mails.harness.deliver(
        *(warn_command(kind, facts=facts) for kind in WARNINGS for facts in ({}, odd))
    )
    assert len(await rows(mails, "notifications")) == 2 * len(KINDS)
    assert len(await rows(mails, "email_messages")) == 2 * len(TYPES)
    assert "ab" in {row.payload.get("name") for row in await rows(mails, "email_messages")}


async def test_a_warning_is_mailed_once_and_not_shown_in_the_app(mails: MailHarness) -> None:
    warning = warn_command()
    again = warning.model_copy(update={"operation_id": new_id()})
    async with mails.sending():
        await mails.harness.deliver(warning, again, warn_command("session_compromised"))
        await mails.wait_for_status("sent", 2)
    assert await rows(mails, "notifications") == []
    first, second = await rows(mails, "email_messages")
    assert (first.subject, first.recipient) == ("Your password was changed", "ada@example.com")
    assert second.subject == "We logged out one of your devices"


async def test_reclaiming_an_account_deletes_earlier_notifications_and_preferences(
    mails: MailHarness,
) -> None:
    user_id, other = new_id(), new_id()
    for person in (user_id, other):
        await mails.harness.sql(
            "insert into preferences (user_id, switched_off, version) values "
            "(:id, array['order_shipped:email'], 1)",
            id=person,
        )
    await mails.harness.deliver(notify_command(user_id=user_id), notify_command(user_id=other))
    changed = CustomerChanged(customer_id=new_id(), status="inactive", merged_into=new_id())
    await mails.harness.deliver(changed)
    assert len(await rows(mails, "notifications")) == 2

    await mails.harness.deliver(changed.model_copy(update={"reclaimed_by": user_id}))

    assert [row.user_id for row in await rows(mails, "notifications")] == [other]
    left = await mails.harness.sql("select user_id from preferences")
    assert [row.user_id for row in left] == [other]


async def test_notifications_after_an_account_was_reclaimed_remain(mails: MailHarness) -> None:
    user_id = new_id()
    await mails.harness.deliver(notify_command(user_id=user_id))
    await mails.harness.sql("update notifications set created_at = now() + interval '1 hour'")
    event = CustomerChanged(customer_id=new_id(), status="inactive", reclaimed_by=user_id)
    await mails.harness.deliver(event)
    assert len(await rows(mails, "notifications")) == 1


def test_models_and_migrations_agree(template: str) -> None:
    assert model_differences(service, template) == []
