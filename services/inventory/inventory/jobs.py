"""Periodic work: pending recounts, and the request for products while no variant is known."""

from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bootstrap import request_snapshots_while_empty
from chassis.db import Database
from chassis.ids import new_id
from chassis.sweep import Batch, Sweep
from contracts.catalog import RequestProductSnapshots
from inventory import service
from inventory.store import stock, warehouses

MAX_WAREHOUSES = 20
RECOUNTS: Final = Batch[UUID]("recounts")


async def continue_recounts(database: Database) -> int:
    """Recount the next variants of each warehouse that opened or closed; returns how many."""
    pending = await warehouses.list_pending_recounts(database, RECOUNTS.postponed(), MAX_WAREHOUSES)
    done = 0
    for warehouse_id in pending:
        with RECOUNTS.isolate(warehouse_id):
            done += await database.retry(partial(_continue_recount, warehouse_id))
    return done


async def _continue_recount(warehouse_id: UUID, tx: AsyncSession) -> int:
    return await service.continue_recount(tx, warehouse_id)


def _product_request() -> RequestProductSnapshots:
    return RequestProductSnapshots(
        operation_id=new_id(), request_id=new_id(), reply_to="svc.inventory"
    )


sweeps = [
    Sweep(RECOUNTS.name, continue_recounts),
    request_snapshots_while_empty("variants", stock.has_no_variants, _product_request),
]
