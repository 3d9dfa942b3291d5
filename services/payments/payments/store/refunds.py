"""Refunds by their operation, their key and their payment."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from payments.domain.refund import Refund

TAKE_STALE = text(
    "update refunds set updated_at = :now where id in (select id from refunds "
    "where state = 'reserved' and updated_at < :before order by updated_at limit :most "
    "for update skip locked) returning operation_id"
)


async def find_refund(tx: AsyncSession, operation_id: UUID) -> Refund | None:
    """The refund of an operation; its payment's lock must be held to change it."""
    query = select(Refund).where(Refund.operation_id == operation_id)
    return (await tx.scalars(query)).one_or_none()


async def find_reserved(tx: AsyncSession, payment_id: UUID, key: str | None) -> Refund | None:
    """The refund of a payment that waits for an answer under this key."""
    query = select(Refund).where(Refund.payment_id == payment_id, Refund.state == "reserved")
    waiting = (await tx.scalars(query)).all()
    return next((refund for refund in waiting if refund.key == key), None)


async def list_refunds(tx: AsyncSession, payment_id: UUID) -> Sequence[Refund]:
    """All refunds of a payment, oldest first."""
    query = select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.id)
    return (await tx.scalars(query)).all()


async def take_stale(tx: AsyncSession, now: datetime, after: timedelta, most: int) -> list[UUID]:
    """Operations whose refund got no answer for so long; nobody else takes them meanwhile."""
    stale = {"now": now, "before": now - after, "most": most}
    return list((await tx.execute(TAKE_STALE, stale)).scalars().all())
