"""Passwords, e-mail tokens and secrets of service clients; the database stores only hashes.

The password rules follow NIST SP 800-63B, section 3.1.1.2: length and a blocklist, no composition
rules. The blocklist is zxcvbn's estimate (Wheeler, USENIX Security 2016) over lists of leaked
passwords, words and names, keyboard walks, sequences and dates.
"""

import base64
import hashlib
import hmac
import threading
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from zxcvbn import zxcvbn

from chassis.errors import Invalid, Refused, Unauthenticated
from chassis.model import Pruned, Retained, Stamped
from identity.domain import Base

Purpose = Literal["verification", "password_reset"]

MIN_LENGTH = 15
MIN_GUESSES = 10**10
# The estimate's cost grows with the square of the length, so it covers the password's beginning.
MAX_ESTIMATED_LENGTH = 64
MAX_KNOWN_WORDS = 12
# zxcvbn tries each way to read signs as letters. One sign per letter is enough, and without this 64
# characters can cost six seconds.
LEET_LETTERS = str.maketrans("@{[<$+!|", "4(((5711")
# Guessing programs know the famous example; zxcvbn's lists do not.
WELL_KNOWN_EXAMPLES = ("correcthorsebatterystaple",)
# zxcvbn stores the words known of the person in a module's variable.
ESTIMATE_LOCK = threading.Lock()


class PasswordTooShort(Invalid):
    """A password has at least 15 characters; a sentence is easy to remember."""

    code = "password_too_short"


class PasswordTooCommon(Invalid):
    """The password is easy to guess; choose another."""

    code = "password_too_common"


class BadEmailToken(Invalid):
    """The link was used already, has expired, or is not one of ours; request a new one."""

    code = "bad_email_token"


class EmailTokenSpent(Refused):
    """The link was used already or has expired, so no mail needs it any more."""

    code = "email_token_spent"


class BadClient(Unauthenticated):
    """The service is unknown, or its secret is wrong."""

    code = "bad_client"


def derive_secret(key: bytes, row_id: UUID) -> str:
    """The secret of a row under a key: 256 bits, safe in a URL, the same for the same key."""
    mac = hmac.digest(key, row_id.bytes, hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def hash_secret(secret: str) -> str:
    """Hash a secret of high entropy for storage: SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


UNKNOWN_CLIENT_HASH = hash_secret("no service has this secret")


def ensure_long_enough(password: str) -> None:
    """Raise PasswordTooShort for a password of fewer than 15 characters."""
    if len(password) < MIN_LENGTH:
        raise PasswordTooShort


def ensure_strong(password: str, known: Collection[str] = ()) -> None:
    """Raise PasswordTooShort or PasswordTooCommon; takes up to 0.2 s of processor time.

    `known` are the words that an attacker knows of this person, see `words_known_of`.
    """
    ensure_long_enough(password)
    words = list(_variants([*list(known)[:MAX_KNOWN_WORDS], *WELL_KNOWN_EXAMPLES]))
    if any(_guesses(text, words) < MIN_GUESSES for text in _variants([password])):
        raise PasswordTooCommon


def words_known_of(email: str, *names: str) -> list[str]:
    """What an attacker knows of a person: the e-mail address, its parts, and the names."""
    return [email, *names, "".join(names), *email.replace("@", ".").split(".")]


def _variants(texts: Iterable[str]) -> Iterable[str]:
    """Each text as it is, and without the characters that people put between words."""
    for text in texts:
        letters = "".join(c for c in text if c.isalnum() or c in "@$!")
        yield from {
            variant.translate(LEET_LETTERS)[:MAX_ESTIMATED_LENGTH] for variant in (text, letters)
        }


def _guesses(text: str, known: list[str]) -> int:
    if not text:
        return 0
    with ESTIMATE_LOCK:
        return int(zxcvbn(text, user_inputs=known)["guesses"])


class EmailToken(Base):
    """The token of one mailed link, valid once until it expires.

    token_hash: null until the mail is written, since no message may carry the secret.
    """

    __tablename__ = "email_tokens"
    __retention__ = Pruned(days=7, by="expires_at")
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
        """Create a token of `lifetime` seconds for one mailbox; `reveal` derives its secret."""
        return cls(
            id=token_id,
            user_id=user_id,
            purpose=purpose,
            email=email,
            expires_at=now + timedelta(seconds=lifetime),
        )

    def reveal(self, key: bytes, now: datetime) -> str:
        """Derive the secret for the mail, the same one each time the mail is written.

        Raises EmailTokenSpent. Under a new signing key the new secret replaces the former.
        """
        if self.used_at is not None or now >= self.expires_at:
            raise EmailTokenSpent
        secret = derive_secret(key, self.id)
        self.token_hash = hash_secret(secret)
        return secret

    def use(self, email: str, now: datetime) -> None:
        """Use the token for the user's present e-mail address; raises BadEmailToken."""
        if self.used_at is not None or now >= self.expires_at or self.email != email:
            raise BadEmailToken
        self.used_at = now


class ServiceClient(Stamped, Base):
    """A service that may call others. Its secret is random, so a plain hash protects it."""

    __tablename__ = "service_clients"
    __retention__ = Retained("a row for each service")

    id: Mapped[str] = mapped_column(String(50), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(50)))


def verify_client_secret(client: ServiceClient | None, offered: str) -> bool:
    """Whether the offered secret is the client's; takes as long for an unknown client."""
    stored = client.secret_hash if client is not None else UNKNOWN_CLIENT_HASH
    return hmac.compare_digest(hash_secret(offered), stored) and client is not None
