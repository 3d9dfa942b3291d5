"""What happens in the catalogue when a message arrives."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.settings import CatalogSettings
from catalog.store import categories, stock
from catalog.store.publishing import remake
from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.inventory import StockChanged

bus: Bus[CatalogSettings] = Bus("catalog")


@bus.handles_many(StockChanged)
async def keep_availability(events: Sequence[StockChanged], tx: AsyncSession) -> None:
    """Show whether a product is in stock; most events move the count but not the word."""
    changed = await stock.keep(tx, events)
    if changed:
        await categories.hold_tree(tx)
        await remake(tx, changed, utcnow())
