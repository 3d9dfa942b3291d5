"""What time brings to inventory: the rest of recounts, and asking while no variant is known."""

from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bootstrap import request_snapshots_while_empty
from chassis.db import Database
from chassis.ids import new_id
from chassis.sweep import Batch, Sweep
from contracts.catalog import RequestProductSnapshots
from inventory.store import recounts, stock

WAREHOUSES_AT_ONCE = 20
BATCH: Final = Batch[UUID]("recounts")


async def recount(database: Database) -> int:
    """Count the next variants of each warehouse that opened or closed; returns how many."""
    waiting = await recounts.list_waiting(database, BATCH.postponed(), WAREHOUSES_AT_ONCE)
    done = 0
    for warehouse_id in waiting:
        with BATCH.isolate(warehouse_id):
            done += await database.retry(partial(_go_on, warehouse_id))
    return done


async def _go_on(warehouse_id: UUID, tx: AsyncSession) -> int:
    return await recounts.go_on(tx, warehouse_id)


def _ask_for_products() -> RequestProductSnapshots:
    return RequestProductSnapshots(
        operation_id=new_id(), request_id=new_id(), reply_to="svc.inventory"
    )


sweeps = [
    Sweep(BATCH.name, recount),
    request_snapshots_while_empty("variants", stock.knows_no_variant, _ask_for_products),
]
