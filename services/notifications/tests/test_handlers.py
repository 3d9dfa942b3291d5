"""Notify: shown once, queued once, and not at all where it was switched off or is too late."""

from datetime import timedelta
from typing import Any, get_args

from chassis.ids import new_id, utcnow
from chassis.testing import model_differences
from contracts.identity import CustomerChanged
from contracts.notifications import NotificationType, SecurityWarning
from notifications.domain import TYPES
from notifications.main import service

from .shop import Shop, a_notice, a_warning

KINDS, WARNINGS = get_args(NotificationType), get_args(SecurityWarning)


async def rows(shop: Shop, table: str) -> list[Any]:
    return await shop.harness.sql(f"select * from {table} order by id")


async def test_the_app_shows_it_and_a_mail_is_queued(shop: Shop) -> None:
    notice = a_notice(
        facts={"order_number": "2026-7", "locale": "de", "total": {"amount": 5, "currency": "EUR"}}
    )
    await shop.harness.deliver(notice)

    (shown,) = await rows(shop, "notifications")
    assert (shown.user_id, shown.type, shown.read_at) == (notice.user_id, notice.type, None)
    assert shown.title == "Ihre Bestellung 2026-7 ist bestätigt"
    assert (shown.reference_type, shown.reference_id) == ("order", notice.reference_id)
    (email,) = await rows(shop, "email_messages")
    assert (email.recipient, email.locale, email.status) == ("ada@example.com", "de", "pending")
    assert email.payload["total"] == {"amount": 5, "currency": "EUR"}
    assert email.subject == shown.title


async def test_ordered_twice_it_is_told_once(shop: Shop) -> None:
    notice = a_notice()
    await shop.harness.deliver(notice, notice)
    await shop.harness.deliver(notice)
    again = notice.model_copy(update={"operation_id": new_id(), "recipient": "eve@example.com"})
    await shop.harness.deliver(again)

    assert len(await rows(shop, "notifications")) == 1
    assert [row.recipient for row in await rows(shop, "email_messages")] == ["ada@example.com"]


async def test_types_and_references_and_people_are_told_apart(shop: Shop) -> None:
    notice = a_notice()
    await shop.harness.deliver(
        notice,
        notice.model_copy(update={"type": "order_shipped"}),
        notice.model_copy(update={"reference_id": new_id()}),
        notice.model_copy(update={"reference_type": "shipment"}),
        notice.model_copy(update={"user_id": new_id()}),
    )
    assert len(await rows(shop, "notifications")) == 5
    assert len(await rows(shop, "email_messages")) == 4


async def test_guests_get_mails_and_users_without_an_address_the_app(shop: Shop) -> None:
    await shop.harness.deliver(a_notice(user_id=None), a_notice(recipient=None))
    assert [row.user_id for row in await rows(shop, "email_messages")] == [None]
    assert len(await rows(shop, "notifications")) == 1


async def test_what_was_switched_off_is_not_told(shop: Shop) -> None:
    quiet = new_id()
    await shop.harness.sql(
        "insert into preferences (user_id, switched_off, version) values "
        "(:id, array['order_shipped:email', 'order_delivered:in_app'], 1)",
        id=quiet,
    )
    await shop.harness.deliver(
        a_notice("order_shipped", user_id=quiet),
        a_notice("order_delivered", user_id=quiet),
        a_notice("order_shipped"),
    )
    shown = [(row.type, row.user_id == quiet) for row in await rows(shop, "notifications")]
    queued = [(row.type, row.user_id == quiet) for row in await rows(shop, "email_messages")]
    assert shown == [("order_shipped", True), ("order_shipped", False)]
    assert queued == [("order_delivered", True), ("order_shipped", False)]


async def test_what_comes_too_late_is_not_told(shop: Shop) -> None:
    late = utcnow() - timedelta(seconds=1)
    await shop.harness.deliver(a_notice(expires_at=late), a_notice())
    assert len(await rows(shop, "notifications")) == 1
    assert len(await rows(shop, "email_messages")) == 1


async def test_every_type_is_taken_with_no_facts_and_with_odd_ones(shop: Shop) -> None:
    odd = {"name": "a\0b", "items": "x" * 50_000, "order_number": "9" * 5000, "locale": "??"}
    await shop.harness.deliver(
        *(a_notice(kind, facts=facts) for kind in KINDS for facts in ({}, odd))
    )
    await shop.harness.deliver(
        *(a_warning(kind, facts=facts) for kind in WARNINGS for facts in ({}, odd))
    )
    assert len(await rows(shop, "notifications")) == 2 * len(KINDS)
    assert len(await rows(shop, "email_messages")) == 2 * len(TYPES)
    assert "ab" in {row.payload.get("name") for row in await rows(shop, "email_messages")}


async def test_a_warning_is_mailed_once_and_no_app_shows_it(shop: Shop) -> None:
    warning = a_warning()
    again = warning.model_copy(update={"operation_id": new_id()})
    async with shop.sending():
        await shop.harness.deliver(warning, again, a_warning("session_compromised"))
        await shop.email_is("sent", 2)
    assert await rows(shop, "notifications") == []
    first, second = await rows(shop, "email_messages")
    assert (first.subject, first.recipient) == ("Your password was changed", "ada@example.com")
    assert second.subject == "We logged out one of your devices"


async def test_a_reclaimed_account_keeps_nothing_of_before(shop: Shop) -> None:
    user_id, other = new_id(), new_id()
    for person in (user_id, other):
        await shop.harness.sql(
            "insert into preferences (user_id, switched_off, version) values "
            "(:id, array['order_shipped:email'], 1)",
            id=person,
        )
    await shop.harness.deliver(a_notice(user_id=user_id), a_notice(user_id=other))
    changed = CustomerChanged(customer_id=new_id(), status="inactive", merged_into=new_id())
    await shop.harness.deliver(changed)
    assert len(await rows(shop, "notifications")) == 2

    await shop.harness.deliver(changed.model_copy(update={"reclaimed_by": user_id}))

    assert [row.user_id for row in await rows(shop, "notifications")] == [other]
    left = await shop.harness.sql("select user_id from preferences")
    assert [row.user_id for row in left] == [other]


async def test_what_came_after_the_account_was_reclaimed_stays(shop: Shop) -> None:
    user_id = new_id()
    await shop.harness.deliver(a_notice(user_id=user_id))
    await shop.harness.sql("update notifications set created_at = now() + interval '1 hour'")
    event = CustomerChanged(customer_id=new_id(), status="inactive", reclaimed_by=user_id)
    await shop.harness.deliver(event)
    assert len(await rows(shop, "notifications")) == 1


def test_models_and_migrations_agree(template: str) -> None:
    assert model_differences(service, template) == []
