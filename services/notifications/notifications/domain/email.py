"""The queue of mails: what waits, what is in hand, what became of each, what is tried again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import Stamped
from notifications.domain.kind import TYPES
from notifications.domain.tables import Base, one_of

EmailStatus = Literal["pending", "processing", "sent", "failed"]
STATUSES: Final[tuple[EmailStatus, ...]] = ("pending", "processing", "sent", "failed")


class EmailNotFailed(Refused):
    """Only a mail that failed can be sent again."""

    code = "email_not_failed"


class EmailExpired(Refused):
    """What this mail says is no longer true, so it is not sent."""

    code = "email_expired"


class Email(Stamped, Base):
    """One mail, sent once per type and thing it is about.

    payload: the facts its template is filled with. They hold names, so they are deleted as soon as
    the mail is sent or has expired; a link that opens something is never among them.
    due_at: when somebody may take it: the time of the next attempt while it is pending, the end of
    the sender's lease while it is processing, null when nothing is left to do.
    """

    __tablename__ = "email_messages"
    __table_args__ = (
        CheckConstraint(one_of("type", TYPES), name="type"),
        CheckConstraint(one_of("status", STATUSES), name="status"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("(due_at is null) = (status in ('sent', 'failed'))", name="due_at"),
        CheckConstraint("(sent_at is null) = (status <> 'sent')", name="sent_at"),
        CheckConstraint("status <> 'sent' or payload = '{}'", name="payload_of_sent"),
        UniqueConstraint("type", "reference_type", "reference_id", name="uq_email_messages_once"),
        Index("ix_email_messages_due_at", "due_at", postgresql_where=text("due_at is not null")),
        Index("ix_email_messages_status", "status", "id"),
        Index("ix_email_messages_recipient", func.lower(text("recipient")), "id"),
        Index("ix_email_messages_reference_id", "reference_id"),
        Index(
            "ix_email_messages_expires_at",
            "expires_at",
            postgresql_where=text("status = 'failed' and payload <> '{}'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(50))
    locale: Mapped[str] = mapped_column(String(10))
    user_id: Mapped[UUID | None]
    recipient: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    reference_type: Mapped[str] = mapped_column(String(20))
    reference_id: Mapped[UUID]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(String(20), server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    last_error: Mapped[str | None] = mapped_column(String(500))
    sent_at: Mapped[datetime | None]

    def retry(self, now: datetime) -> None:
        """Queue a mail that failed once more, with all its attempts before it."""
        if self.status != "failed":
            raise EmailNotFailed
        if self.expires_at <= now:
            raise EmailExpired
        self.status = "pending"
        self.attempts = 0
        self.due_at = now


def pause_after(attempts: int, tiers: Sequence[float]) -> float | None:
    """Seconds until the next attempt after so many; None when it was the last."""
    return tiers[attempts - 1] if attempts <= len(tiers) else None
