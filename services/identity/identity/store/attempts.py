"""Queries over attempts, counted in the database so that every process counts together."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.client_address import site_of
from identity.domain import secret
from identity.domain.attempts import Attempts, LoginLimits, TooManyAttempts


def _key(what: str, *parts: str) -> str:
    return secret.hashed("\n".join((what, *parts)))


def mail_key(email: str) -> str:
    """Name the mails to one mailbox, whether or not it is known to us."""
    return _key("mail", email)


def chosen_key(ip_address: str) -> str:
    """Name the passwords that were chosen from one address."""
    return _key("chosen password", site_of(ip_address))


@dataclass(frozen=True, slots=True)
class LoginKeys:
    """What one login counts towards."""

    account_and_address: str
    address: str
    account: str

    @classmethod
    def of(cls, email: str, ip_address: str) -> "LoginKeys":
        """Name the counters of a login to an account, known to us or not, from an address."""
        site = site_of(ip_address)
        return cls(
            _key("login", email, site), _key("login address", site), _key("login account", email)
        )


async def count_login(
    tx: AsyncSession, keys: LoginKeys, limits: LoginLimits, now: datetime
) -> float:
    """Count one login; return the seconds that it has to wait before its password is checked.

    Raises TooManyAttempts beyond the limits of an address; a refused login counts nowhere.
    """
    window = limits.window
    most = limits.per_account_and_address
    await count_attempt(tx, keys.account_and_address, most=most, window=window, now=now)
    await count_attempt(tx, keys.address, most=limits.per_address, window=window, now=now)
    tries, _ = await _count(tx, keys.account, window, now)
    return limits.delay(tries)


async def forgive_login(tx: AsyncSession, keys: LoginKeys) -> None:
    """Take a login back that succeeded: what the address tried at other accounts still counts."""
    await tx.execute(delete(Attempts).where(Attempts.key == keys.account_and_address))
    for key in (keys.address, keys.account):
        await tx.execute(
            update(Attempts)
            .where(Attempts.key == key, Attempts.tries > 0)
            .values(tries=Attempts.tries - 1)
        )


async def count_attempt(
    tx: AsyncSession, key: str, *, most: int, window: float, now: datetime
) -> None:
    """Count one attempt, holding the row until commit; raises TooManyAttempts beyond `most`.

    `window` is in seconds and begins with the first attempt.
    """
    tries, ends_at = await _count(tx, key, window, now)
    if tries > most:
        raise TooManyAttempts((ends_at - now).total_seconds())


async def _count(tx: AsyncSession, key: str, window: float, now: datetime) -> tuple[int, datetime]:
    """Count one attempt; return how many there are in its window, and when that ends."""
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


async def delete_attempts_before(tx: AsyncSession, moment: datetime) -> None:
    """Forget windows that ended before a moment."""
    await tx.execute(delete(Attempts).where(Attempts.window_ends_at < moment))
