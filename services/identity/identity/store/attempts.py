"""Queries over attempts, counted in the database so that every process counts together."""

from datetime import datetime, timedelta

from sqlalchemy import case, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from identity.domain import secret
from identity.domain.attempts import Attempts, TooManyAttempts


def _key(what: str, *parts: str) -> str:
    return secret.hashed("\n".join((what, *parts)))


def login_key(email: str, ip_address: str) -> str:
    """Name the logins to one account from one address."""
    return _key("login", email, ip_address)


def mail_key(email: str) -> str:
    """Name the mails to one mailbox, whether or not it is known to us."""
    return _key("mail", email)


async def count_attempt(
    tx: AsyncSession, key: str, *, most: int, window: float, now: datetime
) -> None:
    """Count one attempt, holding the row until commit; raises TooManyAttempts beyond `most`.

    `window` is in seconds and begins with the first attempt.
    """
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
    if row.tries > most:
        raise TooManyAttempts((row.window_ends_at - now).total_seconds())


async def forget_attempts(tx: AsyncSession, key: str) -> None:
    """Begin to count anew after a success."""
    await tx.execute(delete(Attempts).where(Attempts.key == key))


async def delete_attempts_before(tx: AsyncSession, moment: datetime) -> None:
    """Forget windows that ended before a moment."""
    await tx.execute(delete(Attempts).where(Attempts.window_ends_at < moment))
