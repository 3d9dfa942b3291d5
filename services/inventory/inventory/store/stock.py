"""Locking stock, writing back what was moved, and keeping the variants the catalogue tells of.

Checkout passes here, so these are Core statements of one shape for any number of rows. The row of
`stock_levels` is the lock of a variant's whole stock; it is always taken in the order of the ids.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.catalog import ProductState
from contracts.inventory import StockEvent
from inventory.domain.level import Level
from inventory.domain.shelves import Movement, Shelf, Stock

LOCK_LEVELS = text(
    "select variant_id, product_id, sku, seller_id, on_hand, reserved, low_stock_threshold, "
    "availability, sequence from stock_levels "
    "where variant_id = any(cast(:variant_ids as uuid[])) order by variant_id for no key update"
)
LIST_LEVELS = text(
    "select variant_id, product_id, sku, seller_id, on_hand, reserved, low_stock_threshold, "
    "availability, sequence from stock_levels "
    "where variant_id > cast(:after as uuid) and sequence > 0 order by variant_id limit :limit"
)
# A statement of its own: its snapshot is younger than the locks and sees what the last holder did.
SHELVES = text(
    "select i.variant_id, i.warehouse_id, w.is_active, i.on_hand, i.reserved, "
    "i.low_stock_threshold, i.version "
    "from stock_items i join warehouses w on w.id = i.warehouse_id "
    "where i.variant_id = any(cast(:variant_ids as uuid[])) order by w.priority, w.code"
)
PUT_UP = text(
    "insert into stock_items (variant_id, warehouse_id, on_hand, reserved, low_stock_threshold) "
    "select variant_id, warehouse_id, 0, 0, threshold from unnest("
    "cast(:variant_ids as uuid[]), cast(:warehouse_ids as uuid[]), cast(:thresholds as bigint[])"
    ") as new (variant_id, warehouse_id, threshold)"
)
# Changes are added, never overwritten: together with the checks of the table this refuses to sell
# what is not there even to a writer that forgot the lock.
SAVE = text(
    "with moved as (insert into stock_movements (id, variant_id, warehouse_id, operation, bucket, "
    "previous, new, adjustment, reason, reference_type, reference_id, user_id) "
    "select id, variant_id, warehouse_id, operation, bucket, previous, new, new - previous, "
    "reason, reference_type, reference_id, user_id from unnest("
    "cast(:m_ids as uuid[]), cast(:m_variant_ids as uuid[]), cast(:m_warehouse_ids as uuid[]), "
    "cast(:m_operations as text[]), cast(:m_buckets as text[]), cast(:m_previous as bigint[]), "
    "cast(:m_new as bigint[]), cast(:m_reasons as text[]), cast(:m_reference_types as text[]), "
    "cast(:m_reference_ids as uuid[]), cast(:m_user_ids as uuid[])"
    ") as m (id, variant_id, warehouse_id, operation, bucket, previous, new, reason, "
    "reference_type, reference_id, user_id)"
    "), kept as (update stock_items i set on_hand = i.on_hand + s.on_hand, "
    "reserved = i.reserved + s.reserved, low_stock_threshold = s.threshold, version = s.version, "
    "updated_at = now() from unnest("
    "cast(:s_variant_ids as uuid[]), cast(:s_warehouse_ids as uuid[]), "
    "cast(:s_on_hand as bigint[]), cast(:s_reserved as bigint[]), "
    "cast(:s_thresholds as bigint[]), cast(:s_versions as bigint[])"
    ") as s (variant_id, warehouse_id, on_hand, reserved, threshold, version) "
    "where i.variant_id = s.variant_id and i.warehouse_id = s.warehouse_id) "
    "update stock_levels l set on_hand = n.on_hand, reserved = n.reserved, "
    "low_stock_threshold = n.threshold, availability = n.availability, sequence = n.sequence, "
    "updated_at = now() from unnest("
    "cast(:l_variant_ids as uuid[]), cast(:l_on_hand as bigint[]), cast(:l_reserved as bigint[]), "
    "cast(:l_thresholds as bigint[]), cast(:l_availability as text[]), "
    "cast(:l_sequences as bigint[])"
    ") as n (variant_id, on_hand, reserved, threshold, availability, sequence) "
    "where l.variant_id = n.variant_id"
)
LEARN = text(
    "insert into stock_levels (variant_id, product_id, sku, seller_id, product_sequence) "
    "select variant_id, product_id, sku, seller_id, sequence from unnest("
    "cast(:variant_ids as uuid[]), cast(:product_ids as uuid[]), cast(:skus as text[]), "
    "cast(:seller_ids as uuid[]), cast(:sequences as bigint[])"
    ") as told (variant_id, product_id, sku, seller_id, sequence) "
    "on conflict (variant_id) do update set product_id = excluded.product_id, "
    "sku = excluded.sku, seller_id = excluded.seller_id, "
    "product_sequence = excluded.product_sequence, updated_at = now() "
    "where stock_levels.product_sequence < excluded.product_sequence"
)


async def lock_stock(tx: AsyncSession, variant_ids: Collection[UUID]) -> Stock:
    """Take the stock of the variants until commit; variants nobody told of are missing from it."""
    if not variant_ids:
        return Stock({}, {})
    ids = {"variant_ids": sorted(variant_ids)}
    levels = {row.variant_id: Level(*row) for row in await tx.execute(LOCK_LEVELS, ids)}
    shelves: dict[UUID, list[Shelf]] = {}
    for row in await tx.execute(SHELVES, ids):
        shelves.setdefault(row.variant_id, []).append(Shelf(*row))
    return Stock(levels, shelves)


async def save_stock(tx: AsyncSession, stock: Stock) -> dict[UUID, list[StockEvent]]:
    """Write what was moved; returns what to tell of it, by variant."""
    news = stock.settle()
    shelves = [shelf for row in stock.shelves.values() for shelf in row]
    await _put_up(tx, [shelf for shelf in shelves if shelf.is_new])
    changed = [shelf for shelf in shelves if shelf.is_changed or shelf.reserved_change]
    levels = [level for level in stock.levels.values() if level.is_changed]
    if changed or levels:
        await tx.execute(SAVE, _movements(stock.movements) | _shelves(changed) | _levels(levels))
    return news


async def _put_up(tx: AsyncSession, shelves: Sequence[Shelf]) -> None:
    if shelves:
        await tx.execute(
            PUT_UP,
            {
                "variant_ids": [s.variant_id for s in shelves],
                "warehouse_ids": [s.warehouse_id for s in shelves],
                "thresholds": [s.low_stock_threshold for s in shelves],
            },
        )


def _movements(movements: Sequence[Movement]) -> dict[str, object]:
    return {
        "m_ids": [m.id for m in movements],
        "m_variant_ids": [m.variant_id for m in movements],
        "m_warehouse_ids": [m.warehouse_id for m in movements],
        "m_operations": [m.operation for m in movements],
        "m_buckets": [m.bucket for m in movements],
        "m_previous": [m.previous for m in movements],
        "m_new": [m.new for m in movements],
        "m_reasons": [m.because.reason for m in movements],
        "m_reference_types": [m.because.reference_type for m in movements],
        "m_reference_ids": [m.because.reference_id for m in movements],
        "m_user_ids": [m.because.user_id for m in movements],
    }


def _shelves(shelves: Sequence[Shelf]) -> dict[str, object]:
    return {
        "s_variant_ids": [s.variant_id for s in shelves],
        "s_warehouse_ids": [s.warehouse_id for s in shelves],
        "s_on_hand": [s.on_hand_change for s in shelves],
        "s_reserved": [s.reserved_change for s in shelves],
        "s_thresholds": [s.low_stock_threshold for s in shelves],
        "s_versions": [s.version for s in shelves],
    }


def _levels(levels: Sequence[Level]) -> dict[str, object]:
    return {
        "l_variant_ids": [level.variant_id for level in levels],
        "l_on_hand": [level.on_hand for level in levels],
        "l_reserved": [level.reserved for level in levels],
        "l_thresholds": [level.low_stock_threshold for level in levels],
        "l_availability": [level.availability for level in levels],
        "l_sequences": [level.sequence for level in levels],
    }


async def knows_no_variant(tx: AsyncSession) -> bool:
    """Whether the catalogue was never heard of."""
    return (await tx.execute(text("select 1 from stock_levels limit 1"))).first() is None


async def list_levels(tx: AsyncSession, after: UUID | None, limit: int) -> list[Level]:
    """Levels that were told to the world, in the order of the variants' ids."""
    rows = await tx.execute(LIST_LEVELS, {"after": after or UUID(int=0), "limit": limit})
    return [Level(*row) for row in rows]


async def learn_variants(tx: AsyncSession, products: Sequence[ProductState]) -> None:
    """Keep what the catalogue tells of its variants, unless something newer is known."""
    newest: dict[UUID, tuple[UUID, UUID, str, UUID | None, int]] = {}
    for product in sorted(products, key=lambda told: told.sequence):
        for variant in product.variants:
            newest[variant.variant_id] = (
                variant.variant_id,
                product.product_id,
                variant.sku,
                product.seller_id,
                product.sequence,
            )
    if not newest:
        return
    ids, product_ids, skus, seller_ids, sequences = zip(
        *(newest[variant_id] for variant_id in sorted(newest)), strict=True
    )
    await tx.execute(
        LEARN,
        {
            "variant_ids": list(ids),
            "product_ids": list(product_ids),
            "skus": list(skus),
            "seller_ids": list(seller_ids),
            "sequences": list(sequences),
        },
    )
