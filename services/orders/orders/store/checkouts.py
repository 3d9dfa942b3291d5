"""Locking, saving and beginning checkouts: the hot path, one statement for any number."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import RowMapping, Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import new_id
from contracts.message import Message
from orders.domain.checkout import Checkout
from orders.domain.order import (
    CheckoutSaga,
    Order,
    OrderHistory,
    OrderLine,
    PaymentStatus,
    SagaLog,
    Stage,
    Status,
)
from orders.saga.process import Heard

ORDER_FIELDS = (
    "order_number",
    "cart_id",
    "customer_id",
    "user_id",
    "access_hash",
    "currency",
    "shipping_amount",
    "total_amount",
    "captured_amount",
    "refunded_amount",
    "payment_method",
    "payment_id",
    "payment_brand",
    "payment_last_four",
    "payment_reference",
    "cancellation_state",
    "placed_at",
    "confirmed_at",
    "cancelled_at",
    "cancellation_reason",
    "version",
    "sequence",
)
SAGA_FIELDS = ("deadline_at", "repeats", "facts", "progress")

# Tables, not mapped classes: the ORM would compile and unpack each statement anew on the hot path.
ORDERS, LINES, SAGAS, HISTORY, LOG = (
    cast("Table", mapped.__table__)
    for mapped in (Order, OrderLine, CheckoutSaga, OrderHistory, SagaLog)
)

_COLUMNS = ", ".join(
    [
        "o.id as order_id, o.status, o.payment_status, s.stage",
        *(f"o.{name}" for name in ORDER_FIELDS),
        *(f"s.{name}" for name in SAGA_FIELDS),
    ]
)
_LOCKED = (
    f"select {_COLUMNS} from orders o join checkout_sagas s on s.order_id = o.id "  # noqa: S608
    "where o.id = any(cast(:ids as uuid[]))"
)
_LOCK = text(f"{_LOCKED} order by o.id for update")
_LOCK_DUE = text(f"{_LOCKED} and s.deadline_at <= :now order by o.id for update skip locked")
_DUE = text(
    "select order_id from checkout_sagas where deadline_at <= :now order by deadline_at limit :most"
)
_OUTCOME = text(
    "select o.status, s.stage from orders o join checkout_sagas s on s.order_id = o.id "
    "where o.id = :id"
)
_INSERT_ORDER, _INSERT_LINE, _INSERT_SAGA, _INSERT_HISTORY, _INSERT_LOG = (
    table.insert() for table in (ORDERS, LINES, SAGAS, HISTORY, LOG)
)

_SAVED = {
    "id": "uuid",
    "status": "text",
    "payment_status": "text",
    "captured_amount": "bigint",
    "refunded_amount": "bigint",
    "payment_id": "uuid",
    "payment_brand": "text",
    "payment_last_four": "text",
    "payment_reference": "text",
    "cancellation_state": "text",
    "confirmed_at": "timestamptz",
    "cancelled_at": "timestamptz",
    "cancellation_reason": "text",
    "version": "bigint",
    "sequence": "bigint",
}
_SAVED_SAGA = {
    "order_id": "uuid",
    "stage": "text",
    "deadline_at": "timestamptz",
    "repeats": "bigint",
    "progress": "jsonb",
    "ended_at": "timestamptz",
}


def _bulk_update(table: str, key: str, columns: dict[str, str], also: str) -> Any:
    """One UPDATE for any number of rows: each column is an array, joined by its key."""
    names = list(columns)
    arrays = ", ".join(
        f"cast(:{name} as {'text' if kind == 'jsonb' else kind}[])"
        for name, kind in columns.items()
    )
    assigned = ", ".join(
        f"{name} = new.{name}" + ("::jsonb" if columns[name] == "jsonb" else "")
        for name in names
        if name != key
    )
    return text(
        f"update {table} set {assigned}, {also} "  # noqa: S608
        f"from unnest({arrays}) as new({', '.join(names)}) where {table}.{key} = new.{key}"
    )


_SAVE_ORDERS = _bulk_update("orders", "id", _SAVED, "updated_at = now(), updated_by = :by")
_SAVE_SAGAS = _bulk_update("checkout_sagas", "order_id", _SAVED_SAGA, "updated_at = now()")


def _checkout(row: RowMapping) -> Checkout:
    found = dict(row)
    return Checkout(
        status=Status(found.pop("status")),
        payment_status=PaymentStatus(found.pop("payment_status")),
        stage=Stage(found.pop("stage")),
        **found,
    )


async def lock_checkouts(tx: AsyncSession, order_ids: Iterable[UUID]) -> dict[UUID, Checkout]:
    """Lock orders with their sagas, always in the order of their ids; unknown ones are left out."""
    found = await tx.execute(_LOCK, {"ids": sorted(set(order_ids))})
    return {row["order_id"]: _checkout(row) for row in found.mappings()}


async def lock_due(tx: AsyncSession, now: datetime, most: int) -> list[Checkout]:
    """Lock checkouts whose deadline passed, leaving those that somebody else holds."""
    ids = list((await tx.execute(_DUE, {"now": now, "most": most})).scalars())
    if not ids:
        return []
    found = await tx.execute(_LOCK_DUE, {"ids": ids, "now": now})
    return [_checkout(row) for row in found.mappings()]


async def save_checkouts(tx: AsyncSession, orders: Sequence[Checkout], now: datetime) -> None:
    """Write back locked checkouts, with the changes of their public status."""
    if not orders:
        return
    for order in orders:
        order.version += 1
    columns: dict[str, list[Any]] = {name: [] for name in _SAVED}
    saga: dict[str, list[Any]] = {name: [] for name in _SAVED_SAGA}
    for order in orders:
        for name in _SAVED:
            columns[name].append(getattr(order, "order_id" if name == "id" else name))
        ended = now if order.deadline_at is None else None
        values = (
            order.order_id,
            order.stage.value,
            order.deadline_at,
            order.repeats,
            json.dumps(order.progress),
            ended,
        )
        for name, value in zip(_SAVED_SAGA, values, strict=True):
            saga[name].append(value)
    by = context.current().actor[:100]
    await tx.execute(_SAVE_ORDERS, {**columns, "by": by})
    await tx.execute(_SAVE_SAGAS, saga)
    await write_history(tx, orders, now)


async def write_history(tx: AsyncSession, orders: Sequence[Checkout], now: datetime) -> None:
    """Keep every change of a public status."""
    rows = [
        {
            "id": new_id(),
            "order_id": order.order_id,
            "from_status": change.from_status,
            "to_status": change.to_status,
            "at": now,
            "by": context.current().actor[:100],
            "reason": change.reason,
        }
        for order in orders
        for change in order.changes
    ]
    for order in orders:
        order.changes.clear()
    if rows:
        await tx.execute(_INSERT_HISTORY, rows)


async def write_log(
    tx: AsyncSession, entries: Sequence[tuple[Checkout, Heard, UUID | None]], now: datetime
) -> None:
    """Keep what the sagas heard and did."""
    trace = context.current().traceparent
    await tx.execute(
        _INSERT_LOG,
        [
            {
                "id": new_id(),
                "order_id": order.order_id,
                "at": now,
                "stage": heard.before,
                "heard": heard.heard,
                "message_id": message_id,
                "outcome": heard.outcome,
                "next_stage": order.stage.value,
                "sent": [type(message).__name__ for message in heard.sent],
                "trace_id": trace.split("-")[1] if trace else None,
            }
            for order, heard, message_id in entries
        ],
    )


async def insert_checkout(
    tx: AsyncSession,
    order: Checkout,
    columns: dict[str, Any],
    lines: Sequence[dict[str, Any]],
    sent: Sequence[Message],
    now: datetime,
) -> None:
    """Write a new order with its lines and saga. `columns` are those a Checkout does not carry.

    Raises IntegrityError when the cart has a live order already.
    """
    own = {name: getattr(order, name) for name in ORDER_FIELDS}
    await tx.execute(
        _INSERT_ORDER,
        {
            "id": order.order_id,
            "status": order.status,
            "payment_status": order.payment_status,
            **own,
            **columns,
        },
    )
    await tx.execute(_INSERT_LINE, list(lines))
    await tx.execute(
        _INSERT_SAGA,
        {
            "order_id": order.order_id,
            "stage": order.stage.value,
            "deadline_at": order.deadline_at,
            "facts": order.facts,
            "progress": order.progress,
        },
    )
    await tx.execute(
        _INSERT_HISTORY,
        {
            "id": new_id(),
            "order_id": order.order_id,
            "from_status": None,
            "to_status": order.status,
            "at": now,
            "by": context.current().actor[:100],
        },
    )
    began = Heard("moved", order.stage, "Placed", list(sent))
    await write_log(tx, [(order, began, None)], now)


async def get_outcome(tx: AsyncSession, order_id: UUID) -> tuple[Status, Stage]:
    """How far an order is: what a waiting request looks at each time it is woken."""
    found = (await tx.execute(_OUTCOME, {"id": order_id})).one()
    return Status(found.status), Stage(found.stage)


async def lease_numbers(tx: AsyncSession, year: int, count: int) -> int:
    """Take `count` order numbers of a year; returns the first."""
    taken: int = (
        await tx.execute(
            text(
                "insert into order_number_blocks (year, next_number) values (:year, 1 + :count) "
                "on conflict (year) do update "
                "set next_number = order_number_blocks.next_number + :count "
                "returning next_number - :count"
            ),
            {"year": year, "count": count},
        )
    ).scalar_one()
    return taken
