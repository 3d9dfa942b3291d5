"""Reading checkout sagas and their logs, for staff and operators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orders.domain.order import CheckoutSaga, Order, OrderShipment, SagaLog, Stage
from orders.domain.refusals import OrderNotFound
from orders.saga.table import FINAL

_SHOWN = select(
    CheckoutSaga.order_id,
    Order.order_number,
    Order.status,
    CheckoutSaga.stage,
    CheckoutSaga.deadline_at,
    CheckoutSaga.repeats,
    CheckoutSaga.created_at,
    CheckoutSaga.updated_at,
    CheckoutSaga.ended_at,
).join(Order, Order.id == CheckoutSaga.order_id)

_HANDED_OVER = (
    exists().where(OrderShipment.order_id == Order.id, OrderShipment.handed_over).correlate(Order)
)
_POSITIONS = select(
    Order.id.label("order_id"),
    Order.order_number,
    Order.status,
    CheckoutSaga.stage,
    Order.payment_method,
    Order.currency,
    Order.total_amount,
    Order.captured_amount,
    Order.refunded_amount,
    _HANDED_OVER.label("handed_over"),
    func.greatest(Order.updated_at, CheckoutSaga.updated_at).label("updated_at"),
).join(CheckoutSaga, CheckoutSaga.order_id == Order.id)


def is_stuck(overdue_since: datetime) -> ColumnElement[bool]:
    """Processes that repeat themselves, wait for staff, or are past or without a deadline."""
    unfinished = CheckoutSaga.stage.not_in(sorted(FINAL))
    return and_(
        unfinished,
        or_(
            CheckoutSaga.repeats > 0,
            CheckoutSaga.stage == Stage.NEEDS_REVIEW,
            CheckoutSaga.deadline_at.is_(None),
            CheckoutSaga.deadline_at < overdue_since,
        ),
    )


async def get_standing(tx: AsyncSession, order_id: UUID) -> Any:
    """Where the process of an order stands; raises OrderNotFound."""
    found = (await tx.execute(_SHOWN.where(CheckoutSaga.order_id == order_id))).one_or_none()
    if found is None:
        raise OrderNotFound
    return found


async def list_sagas(
    tx: AsyncSession, limit: int, after: UUID | None, rule: ColumnElement[bool]
) -> Sequence[Any]:
    """Processes by order id, newest first, `limit + 1` rows."""
    query = _SHOWN.where(rule)
    if after is not None:
        query = query.where(CheckoutSaga.order_id < after)
    query = query.order_by(CheckoutSaga.order_id.desc()).limit(limit + 1)
    return (await tx.execute(query)).all()


async def list_saga_log(tx: AsyncSession, order_id: UUID) -> Sequence[SagaLog]:
    """What the saga of an order heard and did, oldest first."""
    query = select(SagaLog).where(SagaLog.order_id == order_id).order_by(SagaLog.at, SagaLog.id)
    return (await tx.scalars(query)).all()


async def list_positions(
    tx: AsyncSession, *, since: UUID | None, after: UUID | None, limit: int
) -> Sequence[Any]:
    """Orders with their money by rising id, from the lowest id on, `limit + 1` rows."""
    query = _POSITIONS.order_by(Order.id).limit(limit + 1)
    if since is not None:
        query = query.where(Order.id >= since)
    if after is not None:
        query = query.where(Order.id > after)
    return (await tx.execute(query)).all()
