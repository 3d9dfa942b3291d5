"""What time brings to the catalogue: discounts that begin and end, and the rest of long work."""

from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.store import categories, products, relistings, stock
from catalog.store.publishing import reprice
from chassis.bootstrap import request_snapshots_while_empty
from chassis.db import Database
from chassis.ids import new_id, utcnow
from chassis.sweep import Batch, Sweep
from contracts.inventory import RequestStockSnapshots

TURNED_AT_ONCE = 100
BATCH: Final = Batch[UUID]("discount windows")
CATEGORIES_AT_ONCE = 20
RELISTING: Final = Batch[UUID]("relisting")


async def turn_prices(database: Database) -> int:
    """Show and record the prices of discounts whose window opened or closed."""
    due = await products.list_repriced_ids(database, utcnow(), BATCH.postponed(), TURNED_AT_ONCE)
    return await BATCH.run(due, lambda ids: database.retry(lambda tx: reprice(tx, ids, utcnow())))


async def relist(database: Database) -> int:
    """List the next products of each category that was changed; returns how many."""
    waiting = await relistings.list_waiting(database, RELISTING.postponed(), CATEGORIES_AT_ONCE)
    done = 0
    for category_id in waiting:
        with RELISTING.isolate(category_id):
            done += await database.retry(partial(_go_on, category_id))
    return done


async def _go_on(category_id: UUID, tx: AsyncSession) -> int:
    await categories.hold_tree(tx)
    return await relistings.go_on(tx, category_id, utcnow())


def _ask_for_stock() -> RequestStockSnapshots:
    return RequestStockSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.catalog")


sweeps = [
    Sweep(BATCH.name, turn_prices),
    Sweep(RELISTING.name, relist),
    request_snapshots_while_empty("stock", stock.knows_none, _ask_for_stock),
]
