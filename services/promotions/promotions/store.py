"""Queries on coupons and redemptions.

Those of a checkout are set-based, for any number of orders at once. They lock redemptions before
coupons, and each kind in one order, so that two batches never deadlock.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.errors import NotFound
from chassis.rows import RowArrays
from promotions.domain import (
    Coupon,
    CouponUsage,
    Limits,
    Redemption,
    normal_code,
    redemptions,
)

CLAIMED = RowArrays(redemptions, ("order_id", "operation_id", "sequence"))
DECIDED = RowArrays(
    redemptions,
    (
        "order_id", "operation_id", "coupon_id", "code", "redeemer", "customer_id",
        "discount_amount", "currency", "state", "reason",
    ),
)  # fmt: skip
# A new row is a rejected one until it is decided, in the same transaction.
CLAIM = Sql(
    CLAIMED.insert(also={"state": ":state", "reason": "cast(:reason as text)"})
    + " on conflict (order_id) do update set "
    "sequence = redemptions.sequence + excluded.sequence, updated_at = now() "
    f"returning {', '.join(DECIDED.columns)}, sequence"
)
SAVE = Sql(DECIDED.update_rows("order_id"))
LOCK_COUPONS = Sql(
    "select id, code, uses_count, status, starts_at, ends_at, max_uses, max_uses_per_customer "
    "from coupons where code = any(cast(:codes as text[])) order by id for update"
)
COUNT_BY_REDEEMER = Sql(
    "select coupon_id, redeemer, count(*) as uses from redemptions "
    "where state in ('reserved', 'redeemed') and (coupon_id, redeemer) in "
    "(select * from unnest(cast(:coupons as uuid[]), cast(:redeemers as text[]))) "
    "group by coupon_id, redeemer"
)
CHANGE_USES = Sql(
    "update coupons set uses_count = coupons.uses_count + change.uses, updated_at = now() "
    "from unnest(cast(:coupons as uuid[]), cast(:uses as bigint[])) as change(coupon_id, uses) "
    "where coupons.id = change.coupon_id"
)
CONFIRM = Sql(
    "update redemptions set state = 'redeemed', updated_at = now() where order_id in ("
    "select order_id from redemptions where order_id = any(cast(:orders as uuid[])) "
    "and state = 'reserved' order by order_id for update)"
)


async def find_coupon(tx: AsyncSession, code: str) -> Coupon | None:
    """The coupon with a code, whatever its case, or None."""
    found: Coupon | None = await tx.scalar(select(Coupon).where(Coupon.code == normal_code(code)))
    return found


async def get_coupon(tx: AsyncSession, coupon_id: UUID) -> Coupon:
    """One coupon; raises NotFound."""
    return _existing(await tx.get(Coupon, coupon_id))


async def lock_coupon(tx: AsyncSession, coupon_id: UUID) -> Coupon:
    """One coupon, locked until commit; raises NotFound."""
    return _existing(await tx.get(Coupon, coupon_id, with_for_update=True))


async def list_coupons(
    tx: AsyncSession, limit: int, after: UUID | None, status: str | None, today: date
) -> list[Coupon]:
    """Coupons, the newest first; `today` decides which of them have expired."""
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


def _existing(coupon: Coupon | None) -> Coupon:
    if coupon is None:
        raise NotFound
    return coupon


async def list_redemptions(
    tx: AsyncSession, coupon_id: UUID, limit: int, after: UUID | None
) -> Sequence[Row[Any]]:
    """The rows of a coupon's uses, released ones too, the newest order first."""
    query = (
        select(redemptions)
        .where(redemptions.c.coupon_id == coupon_id)
        .order_by(redemptions.c.order_id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(redemptions.c.order_id < after)
    return (await tx.execute(query)).all()


async def lock_redemptions(
    tx: AsyncSession, operations: dict[UUID, tuple[UUID, int]], state: str, reason: str | None
) -> dict[UUID, Redemption]:
    """Lock the redemptions of orders; a missing one is created in the state given.

    `operations` holds per order the operation and how many answers will be numbered.
    """
    claims = [
        {"order_id": order, "operation_id": operation, "sequence": answers}
        for order, (operation, answers) in sorted(operations.items())
    ]
    parameters = {"state": state, "reason": reason, **CLAIMED.parameters(claims)}
    locked = {}
    for row in await driver.fetch(tx, CLAIM, parameters):
        # A redemption is created together with its first answer.
        before = row["sequence"] - operations[row["order_id"]][1]
        locked[row["order_id"]] = Redemption(**{**row, "sequence": before}, is_new=before == 0)
    return locked


async def save_redemptions(tx: AsyncSession, decided: Iterable[Redemption]) -> None:
    """Write the redemptions that changed, in one statement."""
    changed = [each for each in decided if each.is_changed]
    if changed:
        await driver.execute(tx, SAVE, DECIDED.parameters(changed))


async def lock_coupons(
    tx: AsyncSession, wanted: Sequence[tuple[str, str]]
) -> dict[str, CouponUsage]:
    """Lock the coupons of (code, redeemer) pairs and count the uses held; by code."""
    if not wanted:
        return {}
    rows = await driver.fetch(tx, LOCK_COUPONS, {"codes": sorted({code for code, _ in wanted})})
    coupons = {
        row.code: CouponUsage(row.id, row.code, Limits(*row[3:]), row.uses_count) for row in rows
    }
    limited = sorted(
        {
            (coupons[code].id, redeemer)
            for code, redeemer in wanted
            if code in coupons and coupons[code].limits.max_uses_per_customer is not None
        }
    )
    if limited:
        by_id = {coupon.id: coupon for coupon in coupons.values()}
        for row in await _count_uses(tx, limited):
            by_id[row[0]].by_redeemer[row[1]] = row[2]
    return coupons


async def count_uses(tx: AsyncSession, coupon_id: UUID, redeemer: str) -> int:
    """How many uses of a coupon a redeemer holds."""
    return next((uses for _, _, uses in await _count_uses(tx, [(coupon_id, redeemer)])), 0)


async def _count_uses(
    tx: AsyncSession, pairs: Sequence[tuple[UUID, str]]
) -> list[tuple[UUID, str, int]]:
    wanted = {"coupons": [each[0] for each in pairs], "redeemers": [each[1] for each in pairs]}
    return [tuple(row) for row in await driver.fetch(tx, COUNT_BY_REDEEMER, wanted)]


async def change_uses(tx: AsyncSession, changes: dict[UUID, int]) -> None:
    """Count uses up or down; locks the coupons that are not locked yet."""
    if changes:
        coupons = sorted(changes)
        uses = [changes[each] for each in coupons]
        await driver.execute(tx, CHANGE_USES, {"coupons": coupons, "uses": uses})


async def confirm(tx: AsyncSession, order_ids: Sequence[UUID]) -> None:
    """Turn reserved uses of confirmed orders into redeemed ones."""
    await driver.execute(tx, CONFIRM, {"orders": sorted(order_ids)})
