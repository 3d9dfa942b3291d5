"""What orders hold, each movement of stock, and the release of a hold that has no order."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.engine import Row

from chassis.auth import require_permission
from chassis.db import Tx
from chassis.errors import Refused, refuses
from chassis.ids import lowest_id, utcnow
from chassis.ops import audit
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import Moment, View
from inventory import service
from inventory.api import Reader
from inventory.domain.reservation import Rejection, ReservationUnknown, State
from inventory.domain.stock import Bucket, Direction, Operation, ReferenceType, StockItemUnknown
from inventory.store import stock, views

router = APIRouter(prefix="/v1/admin/stock/reservations")
movements = APIRouter(prefix="/v1/admin/stock/movements")
reconciliation = APIRouter(prefix="/v1/admin/ops/inventory/reconciliation", tags=["reconciliation"])

OpsReader = Depends(require_permission("ops:read"))
OpsWriter = Depends(require_permission("ops:write"))


class NothingHeld(Refused):
    """The order holds nothing any more."""

    code = "nothing_held"


class AllocationView(View):
    """Pieces of an order line reserved in a warehouse; `deducted` of them have left it."""

    line_id: UUID
    variant_id: UUID
    warehouse_id: UUID
    seller_id: UUID | None
    quantity: int
    deducted: int


class ReservationView(View):
    """What an order holds or held; `rejection` is why nothing was reserved for it."""

    order_id: UUID
    state: State
    rejection: Rejection | None
    created_at: datetime
    updated_at: datetime
    allocations: list[AllocationView]

    @classmethod
    def of(cls, reservation: Row[Any], lines: list[Row[Any]]) -> "ReservationView":
        """Show a stored reservation."""
        return cls(
            order_id=reservation.order_id,
            state=reservation.state,
            rejection=reservation.rejection,
            created_at=reservation.created_at,
            updated_at=reservation.updated_at,
            allocations=[AllocationView.model_validate(line) for line in lines],
        )


class MovementView(View):
    """One change of one bucket; `direction` is null where only reservations moved."""

    id: UUID
    variant_id: UUID
    warehouse_id: UUID
    operation: Operation
    bucket: Bucket
    direction: Direction | None
    previous: int
    new: int
    adjustment: int
    reason: str
    reference_type: ReferenceType
    reference_id: UUID | None
    user_id: UUID | None
    created_at: datetime


class HoldPosition(View):
    """What an order holds; `pieces` that have not left the warehouse."""

    order_id: UUID
    state: State
    pieces: int
    updated_at: datetime


@router.get("")
async def list_reservations(
    *,
    caller: Reader,
    paging: Paged,
    tx: Tx,
    state: State | None = None,
    older_than: Annotated[
        int | None, Query(ge=0, le=10**9, description="minimum age in seconds")
    ] = None,
) -> Page[ReservationView]:
    """List reservations, oldest first; old ones still `held` belong to orders that never ended."""
    rows = await views.list_reservations(
        tx,
        state=state,
        made_before=utcnow() - timedelta(seconds=older_than) if older_than is not None else None,
        after=paging.position(datetime, UUID),
        limit=paging.limit + 1,
    )
    lines = await views.list_allocations(tx, [row.order_id for row in rows])
    return paging.page(
        rows,
        lambda row: ReservationView.of(row, lines.get(row.order_id, [])),
        lambda row: (row.created_at, row.order_id),
    )


@router.get("/{order_id}")
@refuses(ReservationUnknown)
async def get_reservation(order_id: UUID, caller: Reader, tx: Tx) -> ReservationView:
    """Return what one order holds."""
    reservation = await views.get_reservation(tx, order_id)
    lines = await views.list_allocations(tx, [order_id])
    return ReservationView.of(reservation, lines.get(order_id, []))


@movements.get("")
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
    rows = await views.list_movements(
        tx,
        views.MovementFilter(
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


@reconciliation.get("", dependencies=[OpsReader])
async def list_hold_positions(
    paging: Paged,
    tx: Tx,
    since: Annotated[Moment | None, Query(description="of orders from then on")] = None,
) -> Page[HoldPosition]:
    """List every order that holds pieces, by the time it was placed."""
    rows = await views.list_live_holds(
        tx,
        since=lowest_id(since) if since else None,
        after=paging.position(UUID),
        limit=paging.limit,
    )
    return paging.page(rows, HoldPosition.model_validate, lambda row: row.order_id)


@reconciliation.post("/{order_id}/release", dependencies=[OpsWriter])
@refuses(ReservationUnknown, StockItemUnknown, NothingHeld)
async def release_hold(order_id: UUID, body: ReasonBody, tx: Tx) -> HoldPosition:
    """Release what an order holds that has ended or was never placed.

    Orders gets no answer, as it may not know the order; the events of the stock are published.
    """
    found = await stock.lock_reservations(tx, [order_id])
    if order_id not in found:
        raise ReservationUnknown
    reservation = found[order_id]
    if not reservation.is_live:
        raise NothingHeld
    pieces = sum(line.remaining for line in reservation.lines)
    before = {"state": reservation.state, "pieces": pieces}
    locked = await service.release(tx, [reservation])
    await stock.save_reservations(tx, [reservation])
    await service.save_and_publish(tx, locked)
    after = {"state": reservation.state, "pieces": 0}
    await audit.record(tx, "hold.release", order_id, body.reason, before=before, after=after)
    return HoldPosition.model_validate(await views.get_hold(tx, order_id))
