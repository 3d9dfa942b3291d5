"""Queries on the way of a checkout: set-based, whatever number of orders comes at once.

Redemptions are locked before coupons, and each kind in one order, so that no two batches wait for
each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from promotions.domain import Limits

# A new row is a rejected one until it is decided, in the same transaction.
CLAIM = text(
    "insert into redemptions (order_id, operation_id, state, reason, sequence) "
    "select order_id, operation_id, :state, cast(:reason as text), answers from unnest("
    "cast(:orders as uuid[]), cast(:operations as uuid[]), cast(:answers as bigint[])) "
    "as wish(order_id, operation_id, answers) "
    "on conflict (order_id) do update set "
    "sequence = redemptions.sequence + excluded.sequence, updated_at = now() "
    "returning order_id, operation_id, coupon_id, code, redeemer, customer_id, "
    "discount_amount, currency, state, reason, sequence"
)
SAVE = text(
    "update redemptions set operation_id = new.operation_id, coupon_id = new.coupon_id, "
    "code = new.code, redeemer = new.redeemer, customer_id = new.customer_id, "
    "discount_amount = new.discount_amount, currency = new.currency, state = new.state, "
    "reason = new.reason from unnest("
    "cast(:orders as uuid[]), cast(:operations as uuid[]), cast(:coupons as uuid[]), "
    "cast(:codes as text[]), cast(:redeemers as text[]), cast(:customers as uuid[]), "
    "cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:states as text[]), "
    "cast(:reasons as text[])) as new(order_id, operation_id, coupon_id, code, redeemer, "
    "customer_id, discount_amount, currency, state, reason) "
    "where redemptions.order_id = new.order_id"
)
LOCK_COUPONS = text(
    "select id, code, uses_count, status, starts_at, ends_at, max_uses, max_uses_per_customer "
    "from coupons where code = any(cast(:codes as text[])) order by id for update"
)
COUNT_BY_REDEEMER = text(
    "select coupon_id, redeemer, count(*) as uses from redemptions "
    "where state in ('reserved', 'redeemed') and (coupon_id, redeemer) in "
    "(select * from unnest(cast(:coupons as uuid[]), cast(:redeemers as text[]))) "
    "group by coupon_id, redeemer"
)
USE = text(
    "update coupons set uses_count = coupons.uses_count + change.uses, updated_at = now() "
    "from unnest(cast(:coupons as uuid[]), cast(:uses as bigint[])) as change(coupon_id, uses) "
    "where coupons.id = change.coupon_id"
)
CONFIRM = text(
    "update redemptions set state = 'redeemed', updated_at = now() where order_id in ("
    "select order_id from redemptions where order_id = any(cast(:orders as uuid[])) "
    "and state = 'reserved' order by order_id for update)"
)


@dataclass(slots=True)
class Claimed:
    """An order's redemption, locked until commit; `sequence` is that of the last answer given."""

    order_id: UUID
    operation_id: UUID
    coupon_id: UUID | None
    code: str | None
    redeemer: str | None
    customer_id: UUID | None
    discount_amount: int | None
    currency: str | None
    state: str
    reason: str | None
    sequence: int
    is_new: bool = False
    is_changed: bool = False

    def number(self) -> int:
        """Give the next answer its number."""
        self.sequence += 1
        return self.sequence


@dataclass(slots=True)
class Stock:
    """A locked coupon with its uses, counted on while a batch takes more of them."""

    id: UUID
    code: str
    limits: Limits
    uses: int
    taken: int = 0
    by_redeemer: dict[str, int] = field(default_factory=dict)

    def take(self, redeemer: str) -> None:
        """Count one more use."""
        self.uses += 1
        self.taken += 1
        self.by_redeemer[redeemer] = self.by_redeemer.get(redeemer, 0) + 1


async def lock_redemptions(
    tx: AsyncSession, operations: dict[UUID, tuple[UUID, int]], state: str, reason: str | None
) -> dict[UUID, Claimed]:
    """Lock the redemptions of orders, making those that are missing in the state given.

    `operations` holds per order the operation and how many answers will be numbered.
    """
    wanted = sorted(operations)
    rows = await tx.execute(
        CLAIM,
        {
            "state": state,
            "reason": reason,
            "orders": wanted,
            "operations": [operations[each][0] for each in wanted],
            "answers": [operations[each][1] for each in wanted],
        },
    )
    claimed = {}
    for row in rows.mappings():
        # Every redemption is made together with its first answer.
        before = row["sequence"] - operations[row["order_id"]][1]
        claimed[row["order_id"]] = Claimed(**{**row, "sequence": before}, is_new=before == 0)
    return claimed


async def save_redemptions(tx: AsyncSession, redemptions: Iterable[Claimed]) -> None:
    """Write what was decided, in one statement."""
    changed = [each for each in redemptions if each.is_changed]
    if changed:
        await tx.execute(
            SAVE,
            {
                "orders": [each.order_id for each in changed],
                "operations": [each.operation_id for each in changed],
                "coupons": [each.coupon_id for each in changed],
                "codes": [each.code for each in changed],
                "redeemers": [each.redeemer for each in changed],
                "customers": [each.customer_id for each in changed],
                "amounts": [each.discount_amount for each in changed],
                "currencies": [each.currency for each in changed],
                "states": [each.state for each in changed],
                "reasons": [each.reason for each in changed],
            },
        )


async def lock_coupons(tx: AsyncSession, wanted: Sequence[tuple[str, str]]) -> dict[str, Stock]:
    """Lock the coupons of (code, redeemer) pairs and count the uses held; by code."""
    if not wanted:
        return {}
    rows = await tx.execute(LOCK_COUPONS, {"codes": sorted({code for code, _ in wanted})})
    coupons = {row.code: Stock(row.id, row.code, Limits(*row[3:]), row.uses_count) for row in rows}
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
    """Count how often somebody holds a coupon."""
    return next((uses for _, _, uses in await _count_uses(tx, [(coupon_id, redeemer)])), 0)


async def _count_uses(
    tx: AsyncSession, pairs: Sequence[tuple[UUID, str]]
) -> list[tuple[UUID, str, int]]:
    wanted = {"coupons": [each[0] for each in pairs], "redeemers": [each[1] for each in pairs]}
    return [tuple(row) for row in await tx.execute(COUNT_BY_REDEEMER, wanted)]


async def change_uses(tx: AsyncSession, changes: dict[UUID, int]) -> None:
    """Count uses up or down on coupons that are locked, or lock them doing so."""
    if changes:
        coupons = sorted(changes)
        uses = [changes[each] for each in coupons]
        await tx.execute(USE, {"coupons": coupons, "uses": uses})


async def confirm(tx: AsyncSession, order_ids: Sequence[UUID]) -> None:
    """Turn reserved uses of confirmed orders into redeemed ones."""
    await tx.execute(CONFIRM, {"orders": sorted(order_ids)})
