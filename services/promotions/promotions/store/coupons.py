"""Queries on coupons."""

from datetime import date
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from promotions.domain import Coupon, Redemption, normal_code


async def find_coupon(tx: AsyncSession, code: str) -> Coupon | None:
    """Find the coupon with a code, whatever its case, or None."""
    found: Coupon | None = await tx.scalar(select(Coupon).where(Coupon.code == normal_code(code)))
    return found


async def get_coupon(tx: AsyncSession, coupon_id: UUID) -> Coupon:
    """Read one coupon."""
    return _found(await tx.get(Coupon, coupon_id))


async def lock_coupon(tx: AsyncSession, coupon_id: UUID) -> Coupon:
    """Take one coupon until commit."""
    return _found(await tx.get(Coupon, coupon_id, with_for_update=True))


async def list_coupons(
    tx: AsyncSession, limit: int, after: UUID | None, status: str | None, today: date
) -> list[Coupon]:
    """List coupons, the newest first; `today` parts the expired from the active."""
    query = select(Coupon).order_by(Coupon.id.desc()).limit(limit)
    if after is not None:
        query = query.where(Coupon.id < after)
    match status:
        case "disabled":
            query = query.where(Coupon.status == "disabled")
        case "expired":
            query = query.where(Coupon.status == "active", Coupon.ends_at < today)
        case "active":
            is_open = or_(Coupon.ends_at.is_(None), Coupon.ends_at >= today)
            query = query.where(Coupon.status == "active", is_open)
        case _:
            pass
    return list(await tx.scalars(query))


async def list_redemptions(
    tx: AsyncSession, coupon_id: UUID, limit: int, after: UUID | None
) -> list[Redemption]:
    """List a coupon's uses, those given back too, the newest order first."""
    query = (
        select(Redemption)
        .where(Redemption.coupon_id == coupon_id)
        .order_by(Redemption.order_id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(Redemption.order_id < after)
    return list(await tx.scalars(query))


def _found(coupon: Coupon | None) -> Coupon:
    if coupon is None:
        raise NotFound
    return coupon
