"""What happens in the catalogue when a message arrives."""

from collections.abc import Sequence
from uuid import uuid5

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.settings import CatalogSettings
from catalog.store import categories, products, stock
from catalog.store.publishing import remake
from chassis.bus import Bus
from chassis.ids import utcnow
from contracts.catalog import ProductsSent, SendProducts
from contracts.inventory import StockChanged, StockLevelsSent, StockSnapshot, StockState
from contracts.message import Message

log = structlog.get_logger()
PAGE = 200

bus: Bus[CatalogSettings] = Bus("catalog")


@bus.handles_many(StockSnapshot)
@bus.handles_many(StockChanged, unhurried=True)
async def keep_availability(events: Sequence[StockState], tx: AsyncSession) -> None:
    """Show whether a product is in stock; most events move the count but not the word."""
    changed = await stock.keep(tx, events)
    if changed:
        await categories.hold_tree(tx)
        await remake(tx, changed, utcnow())


@bus.handles(SendProducts)
async def send_products(command: SendProducts, tx: AsyncSession) -> list[Message]:
    """Tell one asker a page of products as they are now, and ask ourselves for the next."""
    page = await products.list_after(tx, command.after, PAGE)
    answers: list[Message] = [each.snapshot(command.asker) for each in page if each.sequence]
    sent = command.sent + len(answers)
    if len(page) < PAGE:
        end = ProductsSent(request_id=command.request_id, sent=sent)
        return [*answers, end.told_to(command.asker, 1)]
    next_page = {"after": page[-1].id, "sent": sent}
    next_page["operation_id"] = uuid5(command.request_id, str(page[-1].id))
    return [*answers, command.model_copy(update=next_page)]


@bus.handles(StockLevelsSent)
async def note_filled(told: StockLevelsSent, tx: AsyncSession) -> None:
    """The copy that was empty holds all there was."""
    log.info("copy filled", source=told.source(), told=told.sent)
