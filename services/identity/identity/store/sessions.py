"""Queries over sessions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from identity.domain.session import Session


async def lock_session(tx: AsyncSession, session_id: UUID) -> Session | None:
    """Take a session's row until commit."""
    query = select(Session).where(Session.id == session_id).with_for_update()
    found: Session | None = await tx.scalar(query)
    return found


async def find_session(tx: AsyncSession, session_id: UUID) -> Session | None:
    """Read a session."""
    found: Session | None = await tx.scalar(select(Session).where(Session.id == session_id))
    return found


async def list_open_sessions(
    tx: AsyncSession, user_id: UUID, *, now: datetime, after: UUID | None, limit: int
) -> Sequence[Session]:
    """Read a user's open sessions, the newest first."""
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
    """Tell whether a user has an open session that began at an address."""
    query = select(Session.id).where(
        Session.user_id == user_id,
        Session.ip_address == ip_address,
        Session.revoked_at.is_(None),
        Session.expires_at > now,
    )
    return bool(ip_address) and await tx.scalar(query.limit(1)) is not None


async def revoke_session(tx: AsyncSession, user_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End one session of a user; tells whether it was theirs and open."""
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


async def delete_sessions_before(tx: AsyncSession, moment: datetime) -> None:
    """Forget sessions that expired before a moment."""
    await tx.execute(delete(Session).where(Session.expires_at < moment))
