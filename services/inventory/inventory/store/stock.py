"""Stock and reservations: claimed, locked and written back for a whole batch of messages.

Every checkout runs these, so they run on asyncpg and have one shape for any number of rows. The row
of `stock_levels` is the lock of a variant's whole stock; rows are always locked in the order of
their ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.rows import RowArrays
from contracts.catalog import ProductState
from contracts.inventory import Shortage, StockEvent
from inventory.domain.reservation import (
    AllocatedLine,
    LockedStock,
    Reservation,
    State,
    allocations,
    reservations,
    stock_operations,
)
from inventory.domain.stock import (
    StockItem,
    StockLevel,
    StockMovement,
    stock_items,
    stock_levels,
    stock_movements,
)


def columns_of(kind: type[Any], table: Table) -> tuple[str, ...]:
    """The fields of a dataclass that are columns of a table, in the dataclass's order."""
    return tuple(each.name for each in fields(kind) if each.name in table.columns)


UPDATED: Final = "updated_at = now()"
LINE: Final = columns_of(AllocatedLine, allocations)
LEVEL: Final = columns_of(StockLevel, stock_levels)

# The row is claimed before anything is decided, so that a reservation and its release that arrive
# at two processes at once wait for each other.
CLAIMED = RowArrays(reservations, ("order_id",))
CLAIM = Sql(
    CLAIMED.insert({"state": "cast(:state as text)", "sequence": "1"})
    + " on conflict (order_id) do nothing returning order_id"
)
LOCK_RESERVATIONS = Sql(
    "select order_id, state, rejection, shortages, sequence from reservations "
    "where order_id = any(cast(:order_ids as uuid[])) order by order_id for update"
)
LINES = Sql(
    f"select {', '.join(LINE)} from allocations "  # noqa: S608
    "where order_id = any(cast(:order_ids as uuid[])) order by order_id, line_id, warehouse_id"
)
RESERVATIONS = RowArrays(reservations, ("order_id", "state", "rejection", "shortages", "sequence"))
UPDATE_RESERVATIONS = Sql(RESERVATIONS.update_rows("order_id", also=UPDATED))
NEW_LINES = RowArrays(allocations, LINE)
INSERT_LINES = Sql(NEW_LINES.insert())
CHANGED_LINES = RowArrays(allocations, ("order_id", "line_id", "warehouse_id", "deducted"))
UPDATE_LINES = Sql(CHANGED_LINES.update_rows("order_id", "line_id", "warehouse_id", also=UPDATED))
COMMIT = Sql(
    "with held as (select order_id from reservations "
    "where order_id = any(cast(:order_ids as uuid[])) and state = 'held' "
    "order by order_id for update) "
    "update reservations r set state = 'committed', updated_at = now() "
    "from held where r.order_id = held.order_id"
)
OPERATIONS = RowArrays(stock_operations, ("id", "order_id"))
CLAIM_OPERATIONS = Sql(OPERATIONS.insert() + " on conflict (id) do nothing returning id")

LOCK_LEVELS = Sql(
    f"select {', '.join(LEVEL)} from stock_levels "  # noqa: S608
    "where variant_id = any(cast(:variant_ids as uuid[])) order by variant_id for no key update"
)
LIST_LEVELS = Sql(
    f"select {', '.join(LEVEL)} from stock_levels "  # noqa: S608
    "where variant_id > cast(:after as uuid) and sequence > 0 order by variant_id limit :limit"
)
# A statement of its own: its snapshot is younger than the locks and sees the last holder's changes.
ITEMS = Sql(
    "select i.variant_id, i.warehouse_id, w.is_active, i.on_hand, i.reserved, "
    "i.low_stock_threshold, i.version "
    "from stock_items i join warehouses w on w.id = i.warehouse_id "
    "where i.variant_id = any(cast(:variant_ids as uuid[])) order by w.priority, w.code"
)
NEW_ITEMS = RowArrays(stock_items, ("variant_id", "warehouse_id", "low_stock_threshold"))
INSERT_ITEMS = Sql(NEW_ITEMS.insert({"on_hand": "0", "reserved": "0"}))
MOVEMENTS = RowArrays(stock_movements, columns_of(StockMovement, stock_movements), "movement_")
CHANGED_ITEMS = RowArrays(stock_items, columns_of(StockItem, stock_items), "item_")
CHANGED_LEVELS = RowArrays(
    stock_levels,
    ("variant_id", "on_hand", "reserved", "low_stock_threshold", "availability", "sequence"),
    "level_",
)
# Pieces are added to the row, never overwritten: with the table's checks this refuses to oversell
# even for a writer that holds no lock.
SAVE_STOCK = Sql(
    f"with moved as ({MOVEMENTS.insert()}), "  # noqa: S608
    "counted as (update stock_items set on_hand = stock_items.on_hand + new.on_hand, "
    "reserved = stock_items.reserved + new.reserved, "
    "low_stock_threshold = new.low_stock_threshold, version = new.version, "
    f"{UPDATED} from {CHANGED_ITEMS.source()} where stock_items.variant_id = new.variant_id "
    "and stock_items.warehouse_id = new.warehouse_id) "
    + CHANGED_LEVELS.update_rows("variant_id", also=UPDATED)
)
VARIANTS = RowArrays(
    stock_levels, ("variant_id", "product_id", "sku", "seller_id", "product_sequence")
)
UPSERT_VARIANTS = Sql(VARIANTS.upsert_rows("variant_id", also=UPDATED, newer_by="product_sequence"))


async def claim_reservations(
    tx: AsyncSession, order_ids: Collection[UUID], state: State
) -> tuple[dict[UUID, Reservation], set[UUID]]:
    """Lock the reservation of each order; returns them, and the ids that this call inserted."""
    wanted = sorted(set(order_ids))
    claim = CLAIMED.parameters({"order_id": order_id} for order_id in wanted)
    inserted = await driver.fetch(tx, CLAIM, {**claim, "state": state})
    new = {row.order_id for row in inserted}
    claimed = {order_id: Reservation(order_id, state, stored=(state, 1)) for order_id in new}
    claimed |= await lock_reservations(tx, [each for each in wanted if each not in new])
    return claimed, new


async def lock_reservations(
    tx: AsyncSession, order_ids: Collection[UUID]
) -> dict[UUID, Reservation]:
    """Lock the orders' reservations with their lines; orders without one are missing."""
    if not order_ids:
        return {}
    ids = {"order_ids": sorted(set(order_ids))}
    locked: dict[UUID, Reservation] = {}
    for row in await driver.fetch(tx, LOCK_RESERVATIONS, ids):
        shortages = [Shortage.model_validate(short) for short in row.shortages or ()]
        stored = (row.state, row.sequence)
        locked[row.order_id] = Reservation(
            row.order_id, row.state, row.rejection, shortages, row.sequence, stored=stored
        )
    for row in await driver.fetch(tx, LINES, ids):
        locked[row.order_id].lines.append(AllocatedLine(*row))
    return locked


async def save_reservations(tx: AsyncSession, locked: Collection[Reservation]) -> None:
    """Write the reservations that changed, and their lines."""
    changed = [each for each in locked if each.is_changed]
    if changed:
        rows = [_reservation_row(each) for each in changed]
        await driver.execute(tx, UPDATE_RESERVATIONS, RESERVATIONS.parameters(rows))
    lines = [line for each in locked for line in each.lines]
    new = [line for line in lines if line.is_new]
    if new:
        await driver.execute(tx, INSERT_LINES, NEW_LINES.parameters(new))
    deducted = [line for line in lines if line.is_changed and not line.is_new]
    if deducted:
        await driver.execute(tx, UPDATE_LINES, CHANGED_LINES.parameters(deducted))


def _reservation_row(each: Reservation) -> Mapping[str, Any]:
    return {
        "order_id": each.order_id,
        "state": each.state,
        "rejection": each.rejection,
        "shortages": [short.model_dump(mode="json") for short in each.shortages] or None,
        "sequence": each.sequence,
    }


async def commit_reservations(tx: AsyncSession, order_ids: Collection[UUID]) -> None:
    """Move the orders' held reservations to `committed`."""
    await driver.execute(tx, COMMIT, {"order_ids": sorted(set(order_ids))})


async def claim_operations(tx: AsyncSession, operations: Mapping[UUID, UUID]) -> set[UUID]:
    """Record operations (by id, with their orders); returns those that were not yet applied."""
    rows = [{"id": each, "order_id": operations[each]} for each in sorted(operations)]
    claimed = await driver.fetch(tx, CLAIM_OPERATIONS, OPERATIONS.parameters(rows))
    return {row.id for row in claimed}


async def lock_stock(tx: AsyncSession, variant_ids: Collection[UUID]) -> LockedStock:
    """Lock the stock of the variants; those that the catalogue never published are missing."""
    if not variant_ids:
        return LockedStock({}, {})
    ids = {"variant_ids": sorted(variant_ids)}
    levels = {row.variant_id: StockLevel(*row) for row in await driver.fetch(tx, LOCK_LEVELS, ids)}
    items: dict[UUID, list[StockItem]] = {}
    for row in await driver.fetch(tx, ITEMS, ids):
        items.setdefault(row.variant_id, []).append(StockItem(*row))
    return LockedStock(levels, items)


async def save_stock(tx: AsyncSession, stock: LockedStock) -> dict[UUID, list[StockEvent]]:
    """Write what was moved; returns the events to publish, by variant."""
    events = stock.update_levels()
    items = [item for of_variant in stock.items.values() for item in of_variant]
    new = [item for item in items if item.is_new]
    if new:
        await driver.execute(tx, INSERT_ITEMS, NEW_ITEMS.parameters(new))
    changed = [item for item in items if item.is_changed or item.reserved_change]
    levels = [level for level in stock.levels.values() if level.is_changed]
    if changed or levels:
        await driver.execute(
            tx,
            SAVE_STOCK,
            MOVEMENTS.parameters(stock.movements)
            | CHANGED_ITEMS.parameters(item_changes(changed))
            | CHANGED_LEVELS.parameters(levels),
        )
    return events


def item_changes(items: Sequence[StockItem]) -> list[Mapping[str, Any]]:
    """The rows by which items are updated: pieces to add, and the rest as it is now."""
    return [
        {
            "variant_id": item.variant_id,
            "warehouse_id": item.warehouse_id,
            "on_hand": item.on_hand_change,
            "reserved": item.reserved_change,
            "low_stock_threshold": item.low_stock_threshold,
            "version": item.version,
        }
        for item in items
    ]


async def has_no_variants(tx: AsyncSession) -> bool:
    """Whether the copy of the catalogue's variants is empty."""
    return (await tx.execute(text("select 1 from stock_levels limit 1"))).first() is None


async def list_published_levels(
    tx: AsyncSession, after: UUID | None, limit: int
) -> list[StockLevel]:
    """Levels of which an event was published, in the order of the variants' ids."""
    rows = await driver.fetch(tx, LIST_LEVELS, {"after": after or UUID(int=0), "limit": limit})
    return [StockLevel(*row) for row in rows]


async def upsert_variants(tx: AsyncSession, products: Sequence[ProductState]) -> None:
    """Store the products' variants, unless a newer state of them is stored."""
    newest = {
        variant.variant_id: {
            "variant_id": variant.variant_id,
            "product_id": product.product_id,
            "sku": variant.sku,
            "seller_id": product.seller_id,
            "product_sequence": product.sequence,
        }
        for product in sorted(products, key=lambda each: each.sequence)
        for variant in product.variants
    }
    if newest:
        rows = [newest[variant_id] for variant_id in sorted(newest)]
        await driver.execute(tx, UPSERT_VARIANTS, VARIANTS.parameters(rows))
