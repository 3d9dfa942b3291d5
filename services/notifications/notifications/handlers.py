"""Handlers of the commands to notify users and warn account owners, and of changed customers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.bus import Bus
from chassis.ids import new_id, utcnow
from contracts.identity import CustomerChanged
from contracts.money import Money
from contracts.notifications import Notify, WarnAccountOwner
from notifications import store
from notifications.domain.email import Email
from notifications.domain.notification import Notification, option_name
from notifications.domain.templates import Headline, choose_locale, render_headline
from notifications.service import MailDispatcher
from notifications.settings import NotificationsSettings

MAX_FACT: Final = 20_000
# Senders of an earlier release put these in; the worker requests them when it sends the mail.
SECRET_FACTS: Final = ("link", "token")

bus: Bus[NotificationsSettings] = Bus("notifications")


@bus.handles_many(Notify, low_priority=True)
async def notify(commands: Sequence[Notify], tx: AsyncSession) -> None:
    """Show each notification in the app and queue its mail, unless the user switched that off."""
    now = utcnow()
    due = [command for command in commands if not command.is_expired(now)]
    users = {command.user_id for command in due if command.user_id is not None}
    switched_off = await store.list_switched_off(tx, users) if users else set()
    shown, queued = [], []
    for command in due:
        facts = {
            name: _stored(fact) for name, fact in command.facts.items() if name not in SECRET_FACTS
        }
        locale = choose_locale(facts, bus.settings.default_locale)
        headline = render_headline(command.type, locale, facts)
        in_app = (command.user_id, option_name((command.type, "in_app")))
        if command.user_id is not None and in_app not in switched_off:
            shown.append(_notification(command, headline))
        by_email = (command.user_id, option_name((command.type, "email")))
        if command.recipient is not None and by_email not in switched_off:
            queued.append(_email(command, headline, locale, facts, now))
    await store.add_notifications(tx, shown)
    await _queue(tx, queued)


@bus.handles(WarnAccountOwner)
async def warn_account_owner(command: WarnAccountOwner, tx: AsyncSession) -> None:
    """Queue the mail, which users cannot switch off."""
    now = utcnow()
    if command.is_expired(now):
        return
    facts = {name: _stored(fact) for name, fact in command.facts.items()}
    locale = choose_locale(facts, bus.settings.default_locale)
    headline = render_headline(command.type, locale, facts)
    await _queue(tx, [_email(command, headline, locale, facts, now)])


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Delete what an earlier holder of the account left, once the mailbox's owner reclaimed it."""
    if event.reclaimed_by is None:
        return
    (envelope,) = context.current().envelopes
    await store.delete_notifications(tx, event.reclaimed_by, before=envelope.time)
    await store.delete_preferences(tx, event.reclaimed_by, before=envelope.time)


async def _queue(tx: AsyncSession, emails: Sequence[Email]) -> None:
    if emails:
        await store.add_emails(tx, emails)
        dispatcher: MailDispatcher = bus.resources.mail_dispatcher
        dispatcher.notify_after_commit(tx)


def _notification(command: Notify, headline: Headline) -> Notification:
    return Notification(
        id=new_id(),
        user_id=command.user_id,
        type=command.type,
        title=headline.title,
        content=headline.content,
        reference_type=command.reference_type,
        reference_id=command.reference_id,
    )


def _email(
    command: Notify | WarnAccountOwner,
    headline: Headline,
    locale: str,
    facts: dict[str, Any],
    now: datetime,
) -> Email:
    return Email(
        id=new_id(),
        type=command.type,
        locale=locale,
        user_id=command.user_id,
        recipient=command.recipient,
        subject=headline.title,
        reference_type=command.reference_type,
        reference_id=command.reference_id,
        payload=facts,
        expires_at=command.expires_at or now + timedelta(seconds=bus.settings.mail_lifetime),
    )


def _stored(fact: str | int | Money) -> str | int | dict[str, Any]:
    """A fact as JSON, shortened, and without NUL, which PostgreSQL cannot store."""
    if isinstance(fact, Money):
        return fact.model_dump()
    return fact.replace("\0", "")[:MAX_FACT] if isinstance(fact, str) else fact
