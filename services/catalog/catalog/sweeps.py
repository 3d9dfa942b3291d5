"""What time brings to the catalogue: discounts that begin and end."""

from typing import Final
from uuid import UUID

from catalog.store import products, stock
from catalog.store.publishing import reprice
from chassis.bootstrap import ask_while_empty
from chassis.db import Database
from chassis.ids import new_id, utcnow
from chassis.sweep import Batch, Sweep
from contracts.inventory import SendStockLevels

TURNED_AT_ONCE = 100
BATCH: Final = Batch[UUID]("discount windows")


async def turn_prices(database: Database) -> int:
    """Show and record the prices of discounts whose window opened or closed."""
    due = await products.list_repriced_ids(database, utcnow(), BATCH.postponed(), TURNED_AT_ONCE)
    return await BATCH.together(
        due, lambda ids: database.repeat(lambda tx: reprice(tx, ids, utcnow()))
    )


def _ask_for_stock() -> SendStockLevels:
    return SendStockLevels(operation_id=new_id(), request_id=new_id(), asker="svc.catalog")


sweeps = [
    Sweep(BATCH.name, turn_prices),
    ask_while_empty("stock", stock.knows_none, _ask_for_stock),
]
