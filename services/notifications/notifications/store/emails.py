"""Queries on the queue of mails."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from notifications.domain import Email, EmailStatus
from notifications.domain.kind import Kind

ADD = insert(Email.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]

CLAIM = text(
    "with due as (select id from email_messages where due_at <= now() "
    "order by due_at limit :limit for update skip locked) "
    "update email_messages e set status = 'processing', attempts = attempts + 1, "
    "due_at = clock_timestamp() + make_interval(secs => :lease), updated_at = now() "
    "from due where e.id = due.id "
    "returning e.id, e.type, e.reference_id, e.locale, e.recipient, e.subject, e.payload, "
    "e.attempts, e.due_at as lease_until, e.created_at, e.expires_at <= now() as is_expired"
)

# Whoever lost the lease in the meantime finds another one in its place and records nothing.
RECORD = text(
    "update email_messages e set status = o.status, last_error = coalesce(o.error, last_error), "
    "attempts = attempts - o.unused, "
    "due_at = clock_timestamp() + make_interval(secs => o.pause), "
    "sent_at = case when o.status = 'sent' then clock_timestamp() end, "
    "payload = case when o.is_over then '{}' else payload end, updated_at = clock_timestamp() "
    "from unnest(cast(:ids as uuid[]), cast(:leases as timestamptz[]), cast(:statuses as text[]), "
    "cast(:pauses as float8[]), cast(:unused as bigint[]), cast(:overs as boolean[]), "
    "cast(:errors as text[])) as o(id, lease, status, pause, unused, is_over, error) "
    "where e.id = o.id and e.due_at = o.lease and e.status = 'processing'"
)

FORGET = text(
    "update email_messages set payload = '{}', updated_at = now() "
    "where status = 'failed' and payload <> '{}' and expires_at < now()"
)


LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail in this sender's hands until `lease_until`."""

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
class Outcome:
    """What became of a claimed mail.

    pause: seconds until it is tried again; None when it is sent or has failed. `is_unused` gives
    the attempt back, for it was not made. `is_over` is for what can never be sent any more.
    """

    mail: Claimed
    status: EmailStatus
    pause: float | None = None
    error: str | None = None
    is_unused: bool = False
    is_over: bool = False


async def add_emails(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Queue these; what was queued or sent already is not sent again."""
    if rows:
        await tx.execute(ADD, rows)


async def claim_emails(tx: AsyncSession, limit: int, lease: float) -> list[Claimed]:
    """Take up to `limit` due mails in hand for `lease` seconds; the oldest comes first."""
    rows = (await tx.execute(CLAIM, {"limit": limit, "lease": lease})).mappings()
    return sorted((Claimed(**row) for row in rows), key=lambda mail: mail.id)


async def record_outcomes(tx: AsyncSession, outcomes: Sequence[Outcome]) -> None:
    """Write down what became of mails that are still this sender's."""
    await tx.execute(
        RECORD,
        {
            "ids": [o.mail.id for o in outcomes],
            "leases": [o.mail.lease_until for o in outcomes],
            "statuses": [o.status for o in outcomes],
            "pauses": [o.pause for o in outcomes],
            "unused": [int(o.is_unused) for o in outcomes],
            "overs": [o.is_over or o.status == "sent" for o in outcomes],
            "errors": [o.error and o.error.replace("\0", "")[:LONGEST_ERROR] for o in outcomes],
        },
    )


async def forget_expired(tx: AsyncSession) -> None:
    """Drop the facts of failed mails whose links are of no use any more."""
    await tx.execute(FORGET)


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
    """Mails of a status, to a recipient (in any case), about a thing; newest first."""
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
