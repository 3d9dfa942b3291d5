"""Sessions: refresh tokens that work once, and the limits on attempts to open a session."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Problem, Unauthenticated
from chassis.model import Pruned, Stamped
from contracts.identity import SessionTokensRevoked
from identity.domain import Base

ID_BYTES = 16
PART_BYTES = 32
FIRST_DELAY = 0.5
MAX_DOUBLINGS = 16


class SessionEnded(Unauthenticated):
    """The session has ended; log in again."""

    code = "session_ended"


class RefreshTokenReused(Unauthenticated):
    """The refresh token was used before, so its session was ended; log in again."""

    code = "refresh_token_reused"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The client's credential: session id, secret of the family, and a part new in each token."""

    session_id: UUID
    family: bytes = field(repr=False)
    part: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a token; raises SessionEnded for a malformed one."""
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
        """Derive the next token; both this token and the session's nonce are needed for it.

        So a retry gets the same successor, although no token is stored.
        """
        part = hmac.digest(self.part, b"successor" + nonce, hashlib.sha256)
        return RefreshToken(self.session_id, self.family, part)


def _hash(part: bytes) -> str:
    return hashlib.sha256(part).hexdigest()


def _matches(part: bytes, stored: str | None) -> bool:
    return stored is not None and hmac.compare_digest(_hash(part), stored)


class Session(Stamped, Base):
    """A login on one device: a family of refresh tokens of which only the newest is valid.

    The family's hash distinguishes an old token of this session from a forged one, so knowledge of
    a session's id does not suffice to end it.
    """

    __tablename__ = "sessions"
    __retention__ = Pruned(days=7, by="expires_at")
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
        """Open a session of `lifetime` seconds; returns it with its first refresh token."""
        token = RefreshToken(
            session_id, secrets.token_bytes(PART_BYTES), secrets.token_bytes(PART_BYTES)
        )
        session = cls(
            id=session_id,
            user_id=user_id,
            family_hash=_hash(token.family),
            token_hash=_hash(token.part),
            remember=remember,
            ip_address=ip_address,
            user_agent=user_agent,
            last_activity_at=now,
            expires_at=now + timedelta(seconds=lifetime),
        )
        return session, token

    def refresh(self, token: RefreshToken, *, grace: float, now: datetime) -> RefreshToken | None:
        """Exchange a token for its successor, the same one again within `grace` seconds.

        An older token ends the session and returns None (RFC 9700, section 4.14.2). Raises
        SessionEnded if the session has ended or the token was never one of it.
        """
        self.ensure_belongs(token)
        if not self.is_open(now):
            raise SessionEnded
        if _matches(token.part, self.token_hash):
            return self._rotate(token, now)
        if self.successor_nonce is not None and self._is_retry(token, grace, now):
            return token.successor(self.successor_nonce)
        self.revoke(now)
        return None

    def ensure_belongs(self, token: RefreshToken) -> None:
        """Raise SessionEnded for a token that was never one of this session."""
        if not _matches(token.family, self.family_hash):
            raise SessionEnded

    def _rotate(self, token: RefreshToken, now: datetime) -> RefreshToken:
        nonce = secrets.token_bytes(PART_BYTES)
        successor = token.successor(nonce)
        self.previous_hash = self.token_hash
        self.token_hash = _hash(successor.part)
        self.successor_nonce = nonce
        self.rotated_at = now
        self.last_activity_at = now
        return successor

    def _is_retry(self, token: RefreshToken, grace: float, now: datetime) -> bool:
        return (
            self.rotated_at is not None
            and now <= self.rotated_at + timedelta(seconds=grace)
            and _matches(token.part, self.previous_hash)
        )

    def is_open(self, now: datetime) -> bool:
        """Whether the session still issues access tokens."""
        return self.revoked_at is None and now < self.expires_at

    @staticmethod
    def revoke_tokens(session_id: UUID, user_id: UUID) -> SessionTokensRevoked:
        """The revocation of a session's access tokens; a session ends once."""
        return SessionTokensRevoked(session_id=session_id, user_id=user_id).with_sequence(1)

    def revoke(self, now: datetime) -> None:
        """End the session; `revoke_tokens` ends its access tokens."""
        if self.revoked_at is None:
            self.revoked_at = now


class TooManyAttempts(Problem):
    """Too many attempts; wait before the next one."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(headers={"Retry-After": str(max(1, ceil(wait_seconds)))})


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """The logins allowed in one window of `window` seconds.

    Beyond the limit of an address, for one account or all, logins are refused. Beyond the limit of
    an account over all addresses they are delayed: a refusal would let a stranger lock it out.
    """

    per_account_and_address: int
    per_address: int
    per_account: int
    window: float
    longest_delay: float

    def delay(self, tries: int) -> float:
        """The delay in seconds of the account's login number `tries` in this window.

        It doubles from half a second with each login beyond the limit, up to `longest_delay`.
        """
        beyond = tries - self.per_account
        if beyond <= 0:
            return 0.0
        return min(FIRST_DELAY * 2.0 ** min(beyond - 1, MAX_DOUBLINGS), self.longest_delay)


class Attempts(Base):
    """The attempts of one kind since its window began; `key` hashes kind, account and address."""

    __tablename__ = "attempts"
    __retention__ = Pruned(days=7, by="window_ends_at")
    __table_args__ = (Index("ix_attempts_window_ends_at", "window_ends_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    tries: Mapped[int]
    window_ends_at: Mapped[datetime]
