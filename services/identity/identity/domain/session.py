"""Sessions: refresh tokens that work once, and whose family ends when an old one comes back."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Unauthenticated
from chassis.model import Stamped
from contracts.identity import SessionTokensRevoked
from identity.domain import Base

ID_BYTES = 16
PART_BYTES = 32


class SessionEnded(Unauthenticated):
    """The session has ended; log in again."""

    code = "session_ended"


class RefreshTokenReused(Unauthenticated):
    """The refresh token was used before, so its session was ended; log in again."""

    code = "refresh_token_reused"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a client holds: its session, the family's secret, and a part that changes each time."""

    session_id: UUID
    family: bytes = field(repr=False)
    part: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token back; raises SessionEnded for a text that never was one."""
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise SessionEnded from None
        if len(raw) != ID_BYTES + 2 * PART_BYTES:
            raise SessionEnded
        return cls(
            UUID(bytes=raw[:ID_BYTES]),
            raw[ID_BYTES : ID_BYTES + PART_BYTES],
            raw[ID_BYTES + PART_BYTES :],
        )

    def __str__(self) -> str:
        raw = self.session_id.bytes + self.family + self.part
        return base64.urlsafe_b64encode(raw).decode()

    def successor(self, nonce: bytes) -> "RefreshToken":
        """Derive the next token: known only to who holds this one and the session's nonce.

        So an answer that was lost can be given again, and still no token is stored.
        """
        part = hmac.digest(self.part, b"successor" + nonce, hashlib.sha256)
        return RefreshToken(self.session_id, self.family, part)


def _hashed(part: bytes) -> str:
    return hashlib.sha256(part).hexdigest()


def _is(part: bytes, stored: str | None) -> bool:
    return stored is not None and hmac.compare_digest(_hashed(part), stored)


class Session(Stamped, Base):
    """One log-in on one device: a family of refresh tokens of which only the newest counts.

    The family's hash tells an old token of this session from a text that never was one, so nobody
    who merely knows a session's id can end it.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id_id", "user_id", "id"),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    family_hash: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[str] = mapped_column(String(64))
    previous_hash: Mapped[str | None] = mapped_column(String(64))
    successor_nonce: Mapped[bytes | None]
    rotated_at: Mapped[datetime | None]
    remember: Mapped[bool]
    ip_address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    last_activity_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    @classmethod
    def open(
        cls,
        *,
        session_id: UUID,
        user_id: UUID,
        remember: bool,
        lifetime: float,
        ip_address: str,
        user_agent: str,
        now: datetime,
    ) -> tuple["Session", RefreshToken]:
        """Open a session of `lifetime` seconds, with its first refresh token."""
        token = RefreshToken(
            session_id, secrets.token_bytes(PART_BYTES), secrets.token_bytes(PART_BYTES)
        )
        session = cls(
            id=session_id,
            user_id=user_id,
            family_hash=_hashed(token.family),
            token_hash=_hashed(token.part),
            remember=remember,
            ip_address=ip_address,
            user_agent=user_agent,
            last_activity_at=now,
            expires_at=now + timedelta(seconds=lifetime),
        )
        return session, token

    def use(self, token: RefreshToken, *, grace: float, now: datetime) -> RefreshToken | None:
        """Use a refresh token: it gives its successor, the same one again within `grace` seconds.

        An older token ends the session and gives None (RFC 9700, section 4.14.2). Raises
        SessionEnded for a session that is over and for a text that never was a token of it.
        """
        self.check_belongs(token)
        if not self.is_open(now):
            raise SessionEnded
        if _is(token.part, self.token_hash):
            return self._rotate(token, now)
        if self.successor_nonce is not None and self._is_repeat(token, grace, now):
            return token.successor(self.successor_nonce)
        self.revoke(now)
        return None

    def check_belongs(self, token: RefreshToken) -> None:
        """Refuse a text that never was a token of this session."""
        if not _is(token.family, self.family_hash):
            raise SessionEnded

    def _rotate(self, token: RefreshToken, now: datetime) -> RefreshToken:
        nonce = secrets.token_bytes(PART_BYTES)
        following = token.successor(nonce)
        self.previous_hash = self.token_hash
        self.token_hash = _hashed(following.part)
        self.successor_nonce = nonce
        self.rotated_at = now
        self.last_activity_at = now
        return following

    def _is_repeat(self, token: RefreshToken, grace: float, now: datetime) -> bool:
        return (
            self.rotated_at is not None
            and now <= self.rotated_at + timedelta(seconds=grace)
            and _is(token.part, self.previous_hash)
        )

    def is_open(self, now: datetime) -> bool:
        """Whether the session still gives access tokens."""
        return self.revoked_at is None and now < self.expires_at

    @staticmethod
    def revoke_tokens(session_id: UUID, user_id: UUID) -> SessionTokensRevoked:
        """Let the access tokens of a session count no more; a session ends once."""
        return SessionTokensRevoked(session_id=session_id, user_id=user_id).with_sequence(1)

    def revoke(self, now: datetime) -> None:
        """End the session; its access tokens end by `revoke_tokens`."""
        if self.revoked_at is None:
            self.revoked_at = now
