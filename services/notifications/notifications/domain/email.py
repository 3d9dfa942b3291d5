"""The queue of mails: their states and retries, and each mail's bytes on the wire."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Refused
from chassis.model import Pruned, Stamped, check_in
from notifications.domain.notification import TYPES, Base

EmailStatus = Literal["pending", "processing", "sent", "failed"]
STATUSES: Final[tuple[EmailStatus, ...]] = ("pending", "processing", "sent", "failed")


class EmailNotFailed(Refused):
    """Only a mail that failed can be sent again."""

    code = "email_not_failed"


class EmailExpired(Refused):
    """This mail is out of date, so it is not sent."""

    code = "email_expired"


class Email(Stamped, Base):
    """One mail, sent once per type and reference.

    payload: the facts that fill its template. They contain names, so they are deleted as soon as
    the mail is sent or has expired; they never contain a link or a token.
    due_at: the time of the next attempt while the mail is pending, the end of the worker's lease
    while it is processing, null once it is sent or has failed.
    """

    __tablename__ = "email_messages"
    __retention__ = Pruned(
        days=540,
        by="id",
        where="status in ('sent', 'failed')",
        unless="the mail is not sent yet",
        least=30,
    )
    __table_args__ = (
        CheckConstraint(check_in("type", TYPES), name="type"),
        CheckConstraint(check_in("status", STATUSES), name="status"),
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
        """Queue a failed mail again with all its attempts; raises EmailNotFailed, EmailExpired."""
        if self.status != "failed":
            raise EmailNotFailed
        if self.expires_at <= now:
            raise EmailExpired
        self.status = "pending"
        self.attempts = 0
        self.due_at = now


def retry_delay(attempts: int, tiers: Sequence[float]) -> float | None:
    """Seconds from attempt number `attempts` to the next one; None after the last."""
    return tiers[attempts - 1] if attempts <= len(tiers) else None


@dataclass(frozen=True, slots=True)
class MimeMessage:
    """A mail's headers; they are the same for each attempt, so that copies are recognised.

    email_id: the id of the row. queued_at: when the row was inserted (UTC).
    """

    email_id: UUID
    mail_from: str
    recipient: str
    subject: str
    locale: str
    queued_at: datetime

    def message_id(self) -> str:
        """Derived from the row: if a crash causes a second delivery, both copies share it."""
        domain = parseaddr(self.mail_from)[1].rpartition("@")[2]
        return f"<{self.email_id}@{domain}>"

    def encode(self, text: str, html: str) -> bytes:
        """The mail as it goes over the wire (RFC 5322, RFC 2046), the same bytes each time.

        Written by hand, because the standard library's generator takes twenty times as long.
        Raises ValueError when the recipient is not an address, or contains control characters.
        """
        if "@" not in self.recipient or not self.recipient.isprintable():
            raise ValueError("the recipient is no e-mail address")
        boundary = f"part-{self.email_id.hex}"
        headers = {
            "From": formataddr(parseaddr(self.mail_from)),
            "To": self.recipient,
            "Subject": _encoded("Subject", self.subject),
            "Date": format_datetime(self.queued_at),
            "Message-ID": self.message_id(),
            "Content-Language": self.locale,
            "Auto-Submitted": "auto-generated",
            "MIME-Version": "1.0",
            "Content-Type": f'multipart/alternative;\r\n boundary="{boundary}"',
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        for subtype, body in (("plain", text), ("html", html)):
            lines += ["", f"--{boundary}", *_part(subtype, body)]
        return "\r\n".join([*lines, "", f"--{boundary}--", ""]).encode()


def _part(subtype: str, body: str) -> list[str]:
    encoded = base64.encodebytes(body.encode()).decode()
    return [
        f"Content-Type: text/{subtype}; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "",
        *encoded.splitlines(),
    ]


def _encoded(name: str, value: str) -> str:
    """A header's text in ASCII, folded (RFC 2047)."""
    charset = None if value.isascii() else "utf-8"
    return Header(value, charset, header_name=name).encode(linesep="\r\n")
