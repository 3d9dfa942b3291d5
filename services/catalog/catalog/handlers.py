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
from contracts.catalog import ProductSnapshotsCompleted, RequestProductSnapshots
from contracts.inventory import StockChanged, StockSnapshot, StockSnapshotsCompleted, StockState
from contracts.message import Message

log = structlog.get_logger()
PAGE = 200

bus: Bus[CatalogSettings] = Bus("catalog")


@bus.handles_many(StockSnapshot)
@bus.handles_many(StockChanged, low_priority=True)
async def keep_availability(events: Sequence[StockState], tx: AsyncSession) -> None:
    """Show whether a product is in stock; most events move the count but not the word."""
    changed = await stock.keep(tx, events)
    if changed:
        await categories.hold_tree(tx)
        await remake(tx, changed, utcnow())


@bus.handles(RequestProductSnapshots)
async def request_product_snapshots(
    command: RequestProductSnapshots, tx: AsyncSession
) -> list[Message]:
    """Tell one asker a page of products as they are now, and ask ourselves for the next."""
    page = await products.list_after(tx, command.after, PAGE)
    answers: list[Message] = [each.snapshot(command.reply_to) for each in page if each.sequence]
    sent = command.sent + len(answers)
    if len(page) < PAGE:
        end = ProductSnapshotsCompleted(request_id=command.request_id, sent=sent)
        return [*answers, end.addressed_to(command.reply_to, 1)]
    next_page = {"after": page[-1].id, "sent": sent}
    next_page["operation_id"] = uuid5(command.request_id, str(page[-1].id))
    return [*answers, command.model_copy(update=next_page)]


@bus.handles(StockSnapshotsCompleted)
async def log_bootstrap_completed(told: StockSnapshotsCompleted, tx: AsyncSession) -> None:
    """The copy that was empty holds all there was."""
    log.info("copy filled", source=told.source(), told=told.sent)
