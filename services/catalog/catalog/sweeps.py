"""What time brings to the catalogue: discounts that begin and end."""

from catalog.store.publishing import reprice
from chassis.db import Database
from chassis.ids import utcnow
from chassis.sweep import Sweep

TURNED_AT_ONCE = 100


async def turn_prices(database: Database) -> int:
    """Show and record the prices of discounts whose window opened or closed."""
    return await database.repeat(lambda tx: reprice(tx, utcnow(), TURNED_AT_ONCE))


sweeps = [Sweep("discount windows", turn_prices)]
