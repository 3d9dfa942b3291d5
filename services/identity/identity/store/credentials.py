"""Queries on sessions, e-mail tokens, service clients, and attempts to use any of them.

Attempts are counted in the database, so that all processes share the counters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.client_address import site_of
from identity.domain.credentials import (
    BadEmailToken,
    EmailToken,
    Purpose,
    ServiceClient,
    hash_secret,
)
from identity.domain.session import Attempts, LoginLimits, Session, TooManyAttempts
from identity.domain.user import User
from identity.store import require


async def lock_session(tx: AsyncSession, session_id: UUID) -> Session | None:
    """Lock the session; None if there is none."""
    query = select(Session).where(Session.id == session_id).with_for_update()
    found: Session | None = await tx.scalar(query)
    return found


async def find_session(tx: AsyncSession, session_id: UUID) -> Session | None:
    """The session, or None."""
    found: Session | None = await tx.scalar(select(Session).where(Session.id == session_id))
    return found


async def list_open_sessions(
    tx: AsyncSession, user_id: UUID, *, now: datetime, after: UUID | None, limit: int
) -> Sequence[Session]:
    """A user's open sessions, the newest first, up to `limit` + 1."""
    query = (
        select(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now)
        .order_by(Session.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(Session.id < after)
    return (await tx.scalars(query)).all()


async def has_session_from(tx: AsyncSession, user_id: UUID, ip_address: str, now: datetime) -> bool:
    """Whether a user has an open session that was started from an address."""
    query = select(Session.id).where(
        Session.user_id == user_id,
        Session.ip_address == ip_address,
        Session.revoked_at.is_(None),
        Session.expires_at > now,
    )
    return bool(ip_address) and await tx.scalar(query.limit(1)) is not None


async def revoke_session(tx: AsyncSession, user_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End one session of a user; returns whether it was theirs and open."""
    query = (
        update(Session)
        .where(Session.id == session_id, Session.user_id == user_id, Session.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(Session.id)
    )
    return await tx.scalar(query) is not None


async def revoke_sessions(tx: AsyncSession, user_id: UUID, now: datetime) -> None:
    """End every session of a user."""
    await tx.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None))
        .values(revoked_at=now)
    )


async def lock_email_token(tx: AsyncSession, text: str, purpose: Purpose) -> EmailToken:
    """Lock the token of a secret; raises BadEmailToken."""
    token = await tx.scalar(
        select(EmailToken)
        .where(EmailToken.token_hash == hash_secret(text), EmailToken.purpose == purpose)
        .with_for_update()
    )
    if token is None:
        raise BadEmailToken
    return token


async def lock_email_token_by_id(tx: AsyncSession, token_id: UUID) -> EmailToken:
    """Lock the token; raises NotFound."""
    return require(await tx.get(EmailToken, token_id, with_for_update=True))


async def get_user_by_email_token(
    tx: AsyncSession, text: str, purpose: Purpose, now: datetime
) -> User:
    """The user of a token that can still be used; raises BadEmailToken."""
    user = await tx.scalar(
        select(User)
        .join(EmailToken, EmailToken.user_id == User.id)
        .where(
            EmailToken.token_hash == hash_secret(text),
            EmailToken.purpose == purpose,
            EmailToken.used_at.is_(None),
            EmailToken.expires_at > now,
            User.deleted_at.is_(None),
        )
    )
    if user is None:
        raise BadEmailToken
    return user


async def invalidate_email_tokens(tx: AsyncSession, user_id: UUID, now: datetime) -> None:
    """Invalidate every link mailed to a user."""
    await tx.execute(
        update(EmailToken)
        .where(EmailToken.user_id == user_id, EmailToken.used_at.is_(None))
        .values(used_at=now)
    )


def _key(kind: str, *parts: str) -> str:
    return hash_secret("\n".join((kind, *parts)))


def mail_key(email: str) -> str:
    """The counter of mails to one address, whether or not an account has it."""
    return _key("mail", email)


def password_choice_key(ip_address: str) -> str:
    """The counter of passwords chosen from one address."""
    return _key("chosen password", site_of(ip_address))


@dataclass(frozen=True, slots=True)
class LoginKeys:
    """The counters of one login."""

    account_and_address: str
    address: str
    account: str

    @classmethod
    def of(cls, email: str, ip_address: str) -> "LoginKeys":
        """The counters of a login from an address, whether or not the account exists."""
        site = site_of(ip_address)
        return cls(
            _key("login", email, site), _key("login address", site), _key("login account", email)
        )


async def count_login(
    tx: AsyncSession, keys: LoginKeys, limits: LoginLimits, now: datetime
) -> float:
    """Count one login; returns the delay, in seconds, before its password is verified.

    Raises TooManyAttempts beyond the limits of an address, and then counts nothing.
    """
    window = limits.window
    limit = limits.per_account_and_address
    await count_attempt(tx, keys.account_and_address, limit=limit, window=window, now=now)
    await count_attempt(tx, keys.address, limit=limits.per_address, window=window, now=now)
    tries, _ = await _count(tx, keys.account, window, now)
    return limits.delay(tries)


async def uncount_login(tx: AsyncSession, keys: LoginKeys) -> None:
    """Uncount a successful login; failures of the address at other accounts still count."""
    await tx.execute(delete(Attempts).where(Attempts.key == keys.account_and_address))
    for key in (keys.address, keys.account):
        await tx.execute(
            update(Attempts)
            .where(Attempts.key == key, Attempts.tries > 0)
            .values(tries=Attempts.tries - 1)
        )


async def count_attempt(
    tx: AsyncSession, key: str, *, limit: int, window: float, now: datetime
) -> None:
    """Count one attempt and lock its counter; raises TooManyAttempts beyond `limit`.

    `window` is in seconds and starts with the first attempt.
    """
    tries, ends_at = await _count(tx, key, window, now)
    if tries > limit:
        raise TooManyAttempts((ends_at - now).total_seconds())


async def _count(tx: AsyncSession, key: str, window: float, now: datetime) -> tuple[int, datetime]:
    """Count one attempt; returns the number in its window, and the window's end."""
    ends = now + timedelta(seconds=window)
    is_over = Attempts.window_ends_at <= now
    statement = insert(Attempts).values(key=key, tries=1, window_ends_at=ends)
    row = (
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=[Attempts.key],
                set_={
                    "tries": case((is_over, 1), else_=Attempts.tries + 1),
                    "window_ends_at": case((is_over, ends), else_=Attempts.window_ends_at),
                },
            ).returning(Attempts.tries, Attempts.window_ends_at)
        )
    ).one()
    return row.tries, row.window_ends_at


async def find_service_client(tx: AsyncSession, client_id: str) -> ServiceClient | None:
    """The service client, or None."""
    return await tx.get(ServiceClient, client_id)


async def upsert_service_clients(tx: AsyncSession, secrets: Mapping[str, str]) -> None:
    """Store the hashes of service clients' secrets, by the name of the client."""
    rows = [
        {"id": name, "secret_hash": hash_secret(secret), "scopes": ["internal"]}
        for name, secret in secrets.items()
    ]
    statement = insert(ServiceClient).values(rows)
    changed = {"secret_hash": statement.excluded.secret_hash, "updated_at": func.now()}
    await tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))
