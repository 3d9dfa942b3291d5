"""What time brings to the catalogue: discounts that begin and end."""

from catalog.store import stock
from catalog.store.publishing import reprice
from chassis.bootstrap import ask_while_empty
from chassis.db import Database
from chassis.ids import new_id, utcnow
from chassis.sweep import Sweep
from contracts.inventory import SendStockLevels

TURNED_AT_ONCE = 100


async def turn_prices(database: Database) -> int:
    """Show and record the prices of discounts whose window opened or closed."""
    return await database.repeat(lambda tx: reprice(tx, utcnow(), TURNED_AT_ONCE))


def _ask_for_stock() -> SendStockLevels:
    return SendStockLevels(operation_id=new_id(), request_id=new_id(), asker="svc.catalog")


sweeps = [
    Sweep("discount windows", turn_prices),
    ask_while_empty("stock", stock.knows_none, _ask_for_stock),
]
