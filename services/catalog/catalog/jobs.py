"""Periodic work: discounts that begin or end, pending relistings, and the request for stock."""

from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog import service
from catalog.store import categories, listings, products
from chassis.bootstrap import request_snapshots_while_empty
from chassis.db import Database
from chassis.ids import new_id, utcnow
from chassis.sweep import Batch, Sweep
from contracts.inventory import RequestStockSnapshots

MAX_PRODUCTS = 100
PRICE_CHANGES: Final = Batch[UUID]("discount windows")
MAX_CATEGORIES = 20
RELISTINGS: Final = Batch[UUID]("relisting")


async def apply_price_changes(database: Database) -> int:
    """Show and record the prices of discounts whose window opened or closed; returns how many."""
    due = await products.list_due_price_changes(
        database, utcnow(), PRICE_CHANGES.postponed(), MAX_PRODUCTS
    )
    return await PRICE_CHANGES.run(
        due,
        lambda ids: database.retry(lambda tx: service.apply_price_changes(tx, ids, utcnow())),
    )


async def continue_relistings(database: Database) -> int:
    """Rebuild the next listings below each changed category; returns how many."""
    pending = await categories.list_pending_relistings(
        database, RELISTINGS.postponed(), MAX_CATEGORIES
    )
    done = 0
    for category_id in pending:
        with RELISTINGS.isolate(category_id):
            done += await database.retry(partial(_continue_relisting, category_id))
    return done


async def _continue_relisting(category_id: UUID, tx: AsyncSession) -> int:
    return await service.continue_relisting(tx, category_id, utcnow())


def _stock_request() -> RequestStockSnapshots:
    return RequestStockSnapshots(operation_id=new_id(), request_id=new_id(), reply_to="svc.catalog")


sweeps = [
    Sweep(PRICE_CHANGES.name, apply_price_changes),
    Sweep(RELISTINGS.name, continue_relistings),
    request_snapshots_while_empty("stock", listings.has_no_stock, _stock_request),
]
