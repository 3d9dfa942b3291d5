"""Sagas and their logs, for staff and operators, and what metrics measure of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.driver import Sql
from chassis.gauges import DatabaseGauge
from orders.domain.order import (
    OrderNotFound,
    Stage,
    order_table,
    saga_log_table,
    saga_table,
    shipment_table,
)
from orders.saga.table import FINAL

_orders, _sagas = order_table.c, saga_table.c

_SAGAS: Final = select(
    _sagas.order_id,
    _orders.order_number,
    _orders.status,
    _sagas.stage,
    _sagas.deadline_at,
    _sagas.repeats,
    _sagas.created_at,
    _sagas.updated_at,
    _sagas.ended_at,
).join_from(saga_table, order_table, _orders.id == _sagas.order_id)

_HANDED_OVER: Final = (
    exists()
    .where(shipment_table.c.order_id == _orders.id, shipment_table.c.handed_over)
    .correlate(order_table)
)
_POSITIONS: Final = select(
    _orders.id.label("order_id"),
    _orders.order_number,
    _orders.status,
    _sagas.stage,
    _orders.payment_method,
    _orders.currency,
    _orders.total_amount,
    _orders.captured_amount,
    _orders.refunded_amount,
    _HANDED_OVER.label("handed_over"),
    func.greatest(_orders.updated_at, _sagas.updated_at).label("updated_at"),
).join_from(order_table, saga_table, _sagas.order_id == _orders.id)


def is_in(stage: Stage) -> ColumnElement[bool]:
    return _sagas.stage == stage


def is_stuck(overdue_since: datetime) -> ColumnElement[bool]:
    """Sagas that repeat a stage, wait for staff, or are past or without a deadline."""
    return and_(
        _sagas.stage.not_in(sorted(FINAL)),
        or_(
            _sagas.repeats > 0,
            _sagas.stage == Stage.NEEDS_REVIEW,
            _sagas.deadline_at.is_(None),
            _sagas.deadline_at < overdue_since,
        ),
    )


async def get_saga(tx: AsyncSession, order_id: UUID) -> Any:
    """The saga of an order. Raises OrderNotFound."""
    row = (await tx.execute(_SAGAS.where(_sagas.order_id == order_id))).one_or_none()
    if row is None:
        raise OrderNotFound
    return row


async def list_sagas(
    tx: AsyncSession, limit: int, after: UUID | None, rule: ColumnElement[bool]
) -> Sequence[Any]:
    """Sagas by order id, newest first, `limit + 1` rows."""
    query = _SAGAS.where(rule)
    if after is not None:
        query = query.where(_sagas.order_id < after)
    query = query.order_by(_sagas.order_id.desc()).limit(limit + 1)
    return (await tx.execute(query)).all()


async def list_saga_log(tx: AsyncSession, order_id: UUID) -> Sequence[Any]:
    """What the saga of an order received and did, oldest first."""
    query = select(saga_log_table).where(saga_log_table.c.order_id == order_id)
    return (await tx.execute(query.order_by(saga_log_table.c.at, saga_log_table.c.id))).all()


async def list_positions(
    tx: AsyncSession, *, since: UUID | None, after: UUID | None, limit: int
) -> Sequence[Any]:
    """Orders with their money by rising id, from the lowest id on, `limit + 1` rows."""
    query = _POSITIONS.order_by(_orders.id).limit(limit + 1)
    if since is not None:
        query = query.where(_orders.id >= since)
    if after is not None:
        query = query.where(_orders.id > after)
    return (await tx.execute(query)).all()


_OPEN: Final = ", ".join(f"('{stage}')" for stage in Stage if stage not in FINAL)
_BY_STAGE: Final = (
    f"from (values {_OPEN}) s (stage) left join checkout_sagas using (stage) group by stage"
)

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_sagas_open",
        "Checkouts that have not ended, by the stage of their saga.",
        Sql(f"select stage, count(order_id) as value {_BY_STAGE}"),
        ("stage",),
    ),
    DatabaseGauge(
        "cartwright_saga_oldest_seconds",
        "Age of the oldest checkout in a stage, since it was placed.",
        Sql(
            "select stage, coalesce(extract(epoch from now() - min(created_at)), 0) as value "  # noqa: S608
            f"{_BY_STAGE}"
        ),
        ("stage",),
    ),
    DatabaseGauge(
        "cartwright_sagas_overdue",
        "Checkouts whose deadline passed a minute ago or more, so that nothing moves them.",
        Sql(
            "select count(*) as value from checkout_sagas "
            "where deadline_at < now() - interval '1 minute'"
        ),
    ),
)
