"""What catalog does with inventory's events and with requests for its products."""

from collections.abc import Sequence
from uuid import uuid5

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import service
from catalog.settings import CatalogSettings
from catalog.store import categories, listings, products
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
async def update_availability(events: Sequence[StockState], tx: AsyncSession) -> None:
    """Store the variants' stock; listings change with the availability, not with each count."""
    changed = await listings.upsert_stock(tx, events)
    if changed:
        await categories.share_lock_tree(tx)
        await service.rebuild_listings(tx, changed, utcnow())


@bus.handles(RequestProductSnapshots)
async def send_product_snapshots(
    command: RequestProductSnapshots, tx: AsyncSession
) -> list[Message]:
    """Send a page of snapshots to the requesting queue; a command to itself requests the next."""
    page = await products.list_after(tx, command.after, PAGE)
    snapshots: list[Message] = [each.snapshot(command.reply_to) for each in page if each.sequence]
    sent = command.sent + len(snapshots)
    if len(page) < PAGE:
        end = ProductSnapshotsCompleted(request_id=command.request_id, sent=sent)
        return [*snapshots, end.addressed_to(command.reply_to, 1)]
    last = page[-1].id
    next_page = {"after": last, "sent": sent, "operation_id": uuid5(command.request_id, str(last))}
    return [*snapshots, command.model_copy(update=next_page)]


@bus.handles(StockSnapshotsCompleted)
async def log_bootstrap_completed(event: StockSnapshotsCompleted, tx: AsyncSession) -> None:
    """The copy of the availabilities is complete."""
    log.info("bootstrap completed", source=event.source(), snapshots=event.sent)
