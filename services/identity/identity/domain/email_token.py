"""E-mail tokens: the secret in a mail's link, which proves that somebody reads that mailbox."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, Refused
from identity.domain import Base, secret

Purpose = Literal["verification", "password_reset"]


class BadEmailToken(Invalid):
    """The link was used already, has expired, or never was one of ours; ask for a new one."""

    code = "bad_email_token"


class EmailTokenSpent(Refused):
    """The link was used already or has expired, so no mail needs it any more."""

    code = "email_token_spent"


class EmailToken(Base):
    """One link in one mail: hashed, used once, and only while it lives.

    token_hash: null until the mail is written, since no message may carry the secret.
    """

    __tablename__ = "email_tokens"
    __table_args__ = (
        CheckConstraint("purpose in ('verification', 'password_reset')", name="purpose"),
        Index("uq_email_tokens_token_hash", "token_hash", unique=True),
        Index("ix_email_tokens_user_id_purpose", "user_id", "purpose"),
        Index("ix_email_tokens_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    purpose: Mapped[Purpose] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(255))
    token_hash: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @classmethod
    def issue(
        cls,
        *,
        token_id: UUID,
        user_id: UUID,
        purpose: Purpose,
        email: str,
        lifetime: float,
        now: datetime,
    ) -> "EmailToken":
        """Make a token of `lifetime` seconds for one mailbox; its secret comes with `reveal`."""
        return cls(
            id=token_id,
            user_id=user_id,
            purpose=purpose,
            email=email,
            expires_at=now + timedelta(seconds=lifetime),
        )

    def reveal(self, key: bytes, now: datetime) -> str:
        """Derive the secret for the mail, the same however often the mail is written.

        Raises EmailTokenSpent. Under another key the new secret replaces the one before.
        """
        if self.used_at is not None or now >= self.expires_at:
            raise EmailTokenSpent
        text = secret.derived(key, self.id)
        self.token_hash = secret.hashed(text)
        return text

    def use(self, email: str, now: datetime) -> None:
        """Use the token for the user's present address; refused the second time and when late."""
        if self.used_at is not None or now >= self.expires_at or self.email != email:
            raise BadEmailToken
        self.used_at = now
