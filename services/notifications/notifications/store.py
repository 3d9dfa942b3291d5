"""Queries on notifications in the app, preferences and the queue of mails, and the gauges."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.errors import NotFound
from chassis.gauges import DatabaseGauge
from chassis.rows import RowArrays
from notifications.domain.email import Email, EmailStatus
from notifications.domain.notification import Kind, Notification, Preferences

NOTIFICATIONS: Final = RowArrays(
    Notification.__table__,  # type: ignore[arg-type]
    ("id", "user_id", "type", "title", "content", "reference_type", "reference_id"),
)
INSERT_NOTIFICATIONS: Final = Sql(f"{NOTIFICATIONS.insert()} on conflict do nothing")

EMAILS: Final = RowArrays(
    Email.__table__,  # type: ignore[arg-type]
    ("id", "type", "locale", "user_id", "recipient", "subject", "reference_type", "reference_id",
     "payload", "expires_at"),
)  # fmt: skip
INSERT_EMAILS: Final = Sql(f"{EMAILS.insert()} on conflict do nothing")

CLAIM_EMAILS: Final = Sql(
    "with due as (select id from email_messages where due_at <= now() "
    "order by due_at limit :limit for update skip locked) "
    "update email_messages e set status = 'processing', attempts = attempts + 1, "
    "due_at = clock_timestamp() + make_interval(secs => :lease), updated_at = now() "
    "from due where e.id = due.id "
    "returning e.id, e.type, e.reference_id, e.locale, e.recipient, e.subject, e.payload, "
    "e.attempts, e.due_at as lease_until, e.created_at, e.expires_at <= now() as is_expired"
)

# A worker whose lease expired finds another value in `due_at` and records nothing.
RECORD_OUTCOMES: Final = Sql(
    "update email_messages e set status = o.status, last_error = coalesce(o.error, last_error), "
    "attempts = attempts - case when o.is_attempt then 0 else 1 end, "
    "due_at = clock_timestamp() + make_interval(secs => o.retry_after), "
    "sent_at = case when o.status = 'sent' then clock_timestamp() end, "
    "payload = case when o.clears_payload then '{}' else payload end, "
    "updated_at = clock_timestamp() "
    "from unnest(cast(:ids as uuid[]), cast(:leases as timestamptz[]), cast(:statuses as text[]), "
    "cast(:delays as float8[]), cast(:attempts as boolean[]), cast(:clears as boolean[]), "
    "cast(:errors as text[])) "
    "as o(id, lease, status, retry_after, is_attempt, clears_payload, error) "
    "where e.id = o.id and e.due_at = o.lease and e.status = 'processing'"
)

CLEAR_EXPIRED: Final = Sql(
    "update email_messages set payload = '{}', updated_at = now() "
    "where status = 'failed' and payload <> '{}' and expires_at < now()"
)

MAX_ERROR: Final = 500

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_mails",
        "Mails that are not sent, by status.",
        Sql(
            "select status, count(id) as value "
            "from (values ('pending'), ('processing'), ('failed')) s (status) "
            "left join email_messages using (status) group by status"
        ),
        ("status",),
    ),
    DatabaseGauge(
        "cartwright_mail_oldest_seconds",
        "Age of the oldest mail that still has to be sent.",
        Sql(
            "select coalesce(extract(epoch from now() - min(created_at)), 0) as value "
            "from email_messages where status in ('pending', 'processing')"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class ClaimedEmail:
    """A mail that a worker has leased until `lease_until`."""

    id: UUID
    type: Kind
    reference_id: UUID
    locale: str
    recipient: str
    subject: str
    payload: dict[str, Any]
    attempts: int
    lease_until: datetime
    created_at: datetime
    is_expired: bool


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The result for a claimed mail.

    retry_after: seconds until the next attempt; None when the mail is sent or has failed.
    is_attempt: False returns the attempt that the claim counted. clears_payload: the mail will
    never be sent, so its facts are deleted.
    """

    mail: ClaimedEmail
    status: EmailStatus
    retry_after: float | None = None
    error: str | None = None
    is_attempt: bool = True
    clears_payload: bool = False


async def add_notifications(tx: AsyncSession, notifications: Sequence[Notification]) -> None:
    """Insert notifications, except those shown before."""
    if notifications:
        await driver.execute(tx, INSERT_NOTIFICATIONS, NOTIFICATIONS.parameters(notifications))


async def list_notifications(
    tx: AsyncSession, user_id: UUID, *, unread: bool | None, before: UUID | None, limit: int
) -> Sequence[Notification]:
    """A user's notifications, newest first."""
    query = select(Notification).where(Notification.user_id == user_id)
    if unread is not None:
        query = query.where(
            Notification.read_at.is_(None) if unread else Notification.read_at.is_not(None)
        )
    if before is not None:
        query = query.where(Notification.id < before)
    return (await tx.scalars(query.order_by(Notification.id.desc()).limit(limit))).all()


async def lock_notification(
    tx: AsyncSession, notification_id: UUID, *, user_id: UUID
) -> Notification:
    """One of a user's notifications, locked; raises NotFound."""
    query = select(Notification).where(
        Notification.id == notification_id, Notification.user_id == user_id
    )
    found = await tx.scalar(query.with_for_update())
    if found is None:
        raise NotFound
    return found


async def mark_all_read(tx: AsyncSession, user_id: UUID, now: datetime) -> int:
    """Mark a user's notifications as read; returns how many were unread."""
    result = await tx.execute(
        update(Notification)
        .where(Notification.user_id == user_id, Notification.read_at.is_(None))
        .values(read_at=now)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101
    return result.rowcount


async def delete_notifications(tx: AsyncSession, user_id: UUID, *, before: datetime) -> None:
    """Delete a user's notifications created up to a time."""
    await tx.execute(
        delete(Notification)
        .where(Notification.user_id == user_id, Notification.created_at <= before)
        .execution_options(synchronize_session=False)
    )


async def get_preferences(tx: AsyncSession, user_id: UUID) -> Preferences:
    """A user's preferences; without a row, nothing is switched off and the version is 0."""
    found = await tx.get(Preferences, user_id)
    return found or Preferences(user_id=user_id, switched_off=[], version=0)


async def lock_preferences(tx: AsyncSession, user_id: UUID) -> Preferences:
    """A user's preferences, locked; a missing row is inserted."""
    default = insert(Preferences).values(user_id=user_id, switched_off=[], version=0)
    await tx.execute(default.on_conflict_do_nothing())
    return await tx.get_one(Preferences, user_id, with_for_update=True)


async def list_switched_off(tx: AsyncSession, user_ids: Collection[UUID]) -> set[tuple[UUID, str]]:
    """What these users switched off, as (user, `type:channel`)."""
    rows = await tx.execute(
        select(Preferences.user_id, Preferences.switched_off).where(
            Preferences.user_id.in_(user_ids)
        )
    )
    return {(user_id, name) for user_id, names in rows for name in names}


async def delete_preferences(tx: AsyncSession, user_id: UUID, *, before: datetime) -> None:
    """Delete a user's preferences, unless they were changed after a time."""
    await tx.execute(
        delete(Preferences)
        .where(Preferences.user_id == user_id, Preferences.updated_at <= before)
        .execution_options(synchronize_session=False)
    )


async def add_emails(tx: AsyncSession, emails: Sequence[Email]) -> None:
    """Queue mails, except those queued or sent before."""
    if emails:
        await driver.execute(tx, INSERT_EMAILS, EMAILS.parameters(emails))


async def claim_emails(tx: AsyncSession, limit: int, lease: float) -> list[ClaimedEmail]:
    """Lease up to `limit` due mails for `lease` seconds, the longest due ones first."""
    rows = await driver.fetch(tx, CLAIM_EMAILS, {"limit": limit, "lease": lease})
    return sorted((ClaimedEmail(**row) for row in rows), key=lambda mail: mail.id)


async def record_outcomes(tx: AsyncSession, outcomes: Sequence[DeliveryOutcome]) -> None:
    """Store the outcomes of mails whose lease the worker still holds."""
    await driver.execute(
        tx,
        RECORD_OUTCOMES,
        {
            "ids": [o.mail.id for o in outcomes],
            "leases": [o.mail.lease_until for o in outcomes],
            "statuses": [o.status for o in outcomes],
            "delays": [o.retry_after for o in outcomes],
            "attempts": [o.is_attempt for o in outcomes],
            "clears": [o.clears_payload or o.status == "sent" for o in outcomes],
            "errors": [o.error and o.error.replace("\0", "")[:MAX_ERROR] for o in outcomes],
        },
    )


async def clear_expired_payloads(tx: AsyncSession) -> None:
    """Delete the facts of failed mails that have expired."""
    await driver.execute(tx, CLEAR_EXPIRED)


async def get_email(tx: AsyncSession, email_id: UUID) -> Email:
    """One mail; raises NotFound."""
    found = await tx.get(Email, email_id)
    if found is None:
        raise NotFound
    return found


async def lock_email(tx: AsyncSession, email_id: UUID) -> Email:
    """One mail, locked; raises NotFound."""
    found = await tx.get(Email, email_id, with_for_update=True)
    if found is None:
        raise NotFound
    return found


async def list_emails(
    tx: AsyncSession,
    *,
    status: EmailStatus | None,
    recipient: str | None,
    reference_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Email]:
    """Mails by status, recipient (case-insensitive) and reference; newest first."""
    query = select(Email).order_by(Email.id.desc()).limit(limit)
    if status is not None:
        query = query.where(Email.status == status)
    if recipient is not None:
        query = query.where(func.lower(Email.recipient) == recipient.lower())
    if reference_id is not None:
        query = query.where(Email.reference_id == reference_id)
    if before is not None:
        query = query.where(Email.id < before)
    return (await tx.scalars(query)).all()
