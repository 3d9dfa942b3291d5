"""What notifications obeys: tell somebody something, in the app and by mail."""

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
from notifications.domain import name_of
from notifications.letters import Headline, locale_of, tell
from notifications.sending.mailroom import Mailroom
from notifications.settings import NotificationsSettings
from notifications.store import emails, notifications, preferences

LONGEST_FACT: Final = 20_000
# Senders of an earlier release put these in; they are requested when the mail is written.
SECRET_FACTS: Final = ("link", "token")

bus: Bus[NotificationsSettings] = Bus("notifications")


@bus.handles_many(Notify, low_priority=True)
async def notify(commands: Sequence[Notify], tx: AsyncSession) -> None:
    """Show it in the app and queue the mail, unless the person switched that off."""
    now = utcnow()
    due = [command for command in commands if not command.is_expired(now)]
    people = {command.user_id for command in due if command.user_id is not None}
    switched_off = await preferences.list_switched_off(tx, people) if people else set()
    shown, queued = [], []
    for command in due:
        facts = {
            name: _stored(fact) for name, fact in command.facts.items() if name not in SECRET_FACTS
        }
        locale = locale_of(facts, bus.settings.default_locale)
        headline = tell(command.type, locale, facts)
        by_app = (command.user_id, name_of((command.type, "in_app")))
        if command.user_id is not None and by_app not in switched_off:
            shown.append(_notification(command, headline))
        by_mail = (command.user_id, name_of((command.type, "email")))
        if command.recipient is not None and by_mail not in switched_off:
            queued.append(_email(command, headline, locale, facts, now))
    await notifications.add_notifications(tx, shown)
    await emails.add_emails(tx, queued)
    if queued:
        mailroom: Mailroom = bus.resources.mailroom
        mailroom.ring_after_commit(tx)


@bus.handles(WarnAccountOwner)
async def warn_account_owner(command: WarnAccountOwner, tx: AsyncSession) -> None:
    """Queue the mail, whatever the person switched off."""
    now = utcnow()
    if command.is_expired(now):
        return
    facts = {name: _stored(fact) for name, fact in command.facts.items()}
    locale = locale_of(facts, bus.settings.default_locale)
    headline = tell(command.type, locale, facts)
    await emails.add_emails(tx, [_email(command, headline, locale, facts, now)])
    mailroom: Mailroom = bus.resources.mailroom
    mailroom.ring_after_commit(tx)


@bus.handles(CustomerChanged)
async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Delete what a stranger had stored for the user who proved the mailbox."""
    if event.reclaimed_by is None:
        return
    (envelope,) = context.current().envelopes
    await notifications.delete_notifications(tx, event.reclaimed_by, before=envelope.time)
    await preferences.delete_preferences(tx, event.reclaimed_by, before=envelope.time)


def _notification(command: Notify, headline: Headline) -> dict[str, Any]:
    return {
        "id": new_id(),
        "user_id": command.user_id,
        "type": command.type,
        "title": headline.title,
        "content": headline.content,
        "reference_type": command.reference_type,
        "reference_id": command.reference_id,
    }


def _email(
    command: Notify | WarnAccountOwner,
    headline: Headline,
    locale: str,
    facts: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "type": command.type,
        "locale": locale,
        "user_id": command.user_id,
        "recipient": command.recipient,
        "subject": headline.title,
        "reference_type": command.reference_type,
        "reference_id": command.reference_id,
        "payload": facts,
        "expires_at": command.expires_at or now + timedelta(seconds=bus.settings.mail_lifetime),
    }


def _stored(fact: str | int | Money) -> str | int | dict[str, Any]:
    """A fact as the queue keeps it, of a length that a mail can hold and PostgreSQL store."""
    if isinstance(fact, Money):
        return fact.model_dump()
    return fact.replace("\0", "")[:LONGEST_FACT] if isinstance(fact, str) else fact
