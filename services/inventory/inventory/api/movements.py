"""Every movement of stock over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.db import Tx
from chassis.pages import Page, Paged
from inventory.api.access import Reader
from inventory.api.views import MovementView
from inventory.domain.stock import Bucket, Direction, Operation, ReferenceType
from inventory.store import stock_views

router = APIRouter(prefix="/v1/admin/stock/movements")


@router.get("")
async def list_movements(
    *,
    caller: Reader,
    paging: Paged,
    tx: Tx,
    variant_id: UUID | None = None,
    warehouse_id: UUID | None = None,
    operation: Operation | None = None,
    bucket: Bucket | None = None,
    direction: Annotated[
        Direction | None, Query(description="in, out, or a recount by people")
    ] = None,
    reference_type: ReferenceType | None = None,
    reference_id: Annotated[UUID | None, Query(description="such as the order's id")] = None,
    user_id: Annotated[UUID | None, Query(description="only what this person moved")] = None,
) -> Page[MovementView]:
    """List movements, newest first."""
    rows = await stock_views.list_movements(
        tx,
        stock_views.MovementFilter(
            variant_id=variant_id,
            warehouse_id=warehouse_id,
            operation=operation,
            bucket=bucket,
            direction=direction,
            reference_type=reference_type,
            reference_id=reference_id,
            user_id=user_id,
        ),
        before=paging.position(UUID),
        limit=paging.limit + 1,
    )
    return paging.page(rows, MovementView.model_validate, lambda row: row.id)
