"""Queries on what variants cost over time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import Product
from catalog.domain.price import LOOKED_BACK
from chassis.ids import new_id

CLOSE = text(
    "update price_history h set valid_until = greatest(h.valid_from, p.at), updated_at = now() "
    "from unnest(cast(:variant_ids as uuid[]), cast(:amounts as bigint[]), "
    "cast(:moments as timestamptz[])) as p(variant_id, amount, at) "
    "where h.variant_id = p.variant_id and h.valid_until is null and h.amount <> p.amount"
)
OPEN = text(
    "insert into price_history (id, variant_id, amount, currency, valid_from) "
    "select p.* from unnest(cast(:ids as uuid[]), cast(:variant_ids as uuid[]), "
    "cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:moments as timestamptz[])) "
    "as p(id, variant_id, amount, currency, at) "
    "where not exists (select from price_history h "
    "where h.variant_id = p.variant_id and h.valid_until is null)"
)
LOWEST = text(
    "select h.variant_id, min(h.amount) as amount "
    "from unnest(cast(:variant_ids as uuid[]), cast(:begins as timestamptz[])) "
    "as d(variant_id, begins) join price_history h on h.variant_id = d.variant_id "
    "and h.valid_from < d.begins "
    "and (h.valid_until is null or h.valid_until > d.begins - cast(:back as interval)) "
    "group by h.variant_id"
)


async def record(tx: AsyncSession, products: Sequence[tuple[Product, datetime]]) -> None:
    """Write down what each variant costs from a moment on, where that differs from before."""
    rows = sorted(
        (variant.id, product.pricing(variant).amount(at), product.currency, at)
        for product, at in products
        for variant in product.offered
    )
    if not rows:
        return
    variant_ids, amounts, currencies, moments = (list(column) for column in zip(*rows, strict=True))
    current = {"variant_ids": variant_ids, "amounts": amounts, "moments": moments}
    await tx.execute(CLOSE, current)
    ids = [new_id() for _ in rows]
    await tx.execute(OPEN, {**current, "ids": ids, "currencies": currencies})


async def lowest_before_discounts(
    tx: AsyncSession, products: Sequence[Product], now: datetime
) -> dict[UUID, int]:
    """The least amount of each discounted variant in the thirty days before its discount began."""
    rows = [
        (variant.id, product.discount_from)
        for product in products
        for variant in product.offered
        if product.pricing(variant).is_discounted(now)
    ]
    if not rows:
        return {}
    variant_ids, begins = (list(column) for column in zip(*rows, strict=True))
    found = await tx.execute(
        LOWEST, {"variant_ids": variant_ids, "begins": begins, "back": LOOKED_BACK}
    )
    return {row.variant_id: row.amount for row in found}
