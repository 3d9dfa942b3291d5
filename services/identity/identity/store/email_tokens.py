"""Queries over the tokens that travel in mails."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from identity.domain import secret
from identity.domain.email_token import BadEmailToken, EmailToken, Purpose
from identity.domain.user import User


async def lock_email_token(tx: AsyncSession, text: str, purpose: Purpose) -> EmailToken:
    """Take the row of a token's secret until commit; raises BadEmailToken when there is none."""
    token = await tx.scalar(
        select(EmailToken)
        .where(EmailToken.token_hash == secret.hashed(text), EmailToken.purpose == purpose)
        .with_for_update()
    )
    if token is None:
        raise BadEmailToken
    return token


async def lock_email_token_by_id(tx: AsyncSession, token_id: UUID) -> EmailToken:
    """Lock the row of a token; raises NotFound."""
    token = await tx.get(EmailToken, token_id, with_for_update=True)
    if token is None:
        raise NotFound
    return token


async def get_user_of_token(tx: AsyncSession, text: str, purpose: Purpose, now: datetime) -> User:
    """Read the user of a token that can be used; raises BadEmailToken."""
    user = await tx.scalar(
        select(User)
        .join(EmailToken, EmailToken.user_id == User.id)
        .where(
            EmailToken.token_hash == secret.hashed(text),
            EmailToken.purpose == purpose,
            EmailToken.used_at.is_(None),
            EmailToken.expires_at > now,
            User.deleted_at.is_(None),
        )
    )
    if user is None:
        raise BadEmailToken
    return user


async def void_email_tokens(tx: AsyncSession, user_id: UUID, now: datetime) -> None:
    """Make every link that a user was sent worthless."""
    await tx.execute(
        update(EmailToken)
        .where(EmailToken.user_id == user_id, EmailToken.used_at.is_(None))
        .values(used_at=now)
    )


async def delete_email_tokens_before(tx: AsyncSession, moment: datetime) -> None:
    """Forget tokens that expired before a moment."""
    await tx.execute(delete(EmailToken).where(EmailToken.expires_at < moment))
