"""Writing checkouts: a new order, and all that one step of its saga changes, in few statements."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import new_id
from contracts.envelope import Envelope
from contracts.message import Message
from orders.domain.checkout import Checkout
from orders.domain.order import Order, OrderLine
from orders.saga.process import Heard
from orders.store.checkouts import ORDER_FIELDS

# A checkout, what its saga heard and did, and the envelope of the message that told it.
Entry = tuple[Checkout, Heard, Envelope | None]

# Tables, not mapped classes: the ORM would compile and unpack each statement anew on the hot path.
_INSERT_ORDER, _INSERT_LINE = (
    cast("Table", mapped.__table__).insert() for mapped in (Order, OrderLine)
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


_SAVED_HISTORY = {
    "id": "uuid",
    "order_id": "uuid",
    "from_status": "text",
    "to_status": "text",
    "reason": "text",
}
_SAVED_LOG = {
    "id": "uuid",
    "order_id": "uuid",
    "stage": "text",
    "heard": "text",
    "message_id": "uuid",
    "outcome": "text",
    "next_stage": "text",
    "sent": "jsonb",
    "trace_id": "text",
}


def _arrays(prefix: str, columns: dict[str, str]) -> str:
    """Rows given as one array for each column, named as their columns."""
    arrays = ", ".join(
        f"cast(:{prefix}_{name} as {'text' if kind == 'jsonb' else kind}[])"
        for name, kind in columns.items()
    )
    return f"unnest({arrays}) as new({', '.join(columns)})"


def _update(table: str, prefix: str, key: str, columns: dict[str, str], also: str) -> str:
    """An update of any number of rows, joined by their key."""
    assigned = ", ".join(
        f"{name} = new.{name}" + ("::jsonb" if kind == "jsonb" else "")
        for name, kind in columns.items()
        if name != key
    )
    return (
        f"update {table} set {assigned}, {also} "  # noqa: S608
        f"from {_arrays(prefix, columns)} where {table}.{key} = new.{key}"
    )


def _insert(table: str, prefix: str, columns: dict[str, str], also: dict[str, str]) -> str:
    """An insert of any number of rows; `also` are columns that all of them share."""
    values = [
        f"new.{name}" + ("::jsonb" if kind == "jsonb" else "") for name, kind in columns.items()
    ]
    return (
        f"insert into {table} ({', '.join([*columns, *also])}) "  # noqa: S608
        f"select {', '.join([*values, *also.values()])} from {_arrays(prefix, columns)}"
    )


_HISTORY = _insert("order_history", "h", _SAVED_HISTORY, {"at": ":at", "by": ":by"})
_LOG = _insert("saga_log", "l", _SAVED_LOG, {"at": ":at"})
# Nothing else of the facts ever changes.
_SAGA_ALSO = (
    "updated_at = now(), facts = case when checkout_sagas.order_id = any(cast(:paid as uuid[])) "
    "then facts #- '{payment,token}' else facts end"
)
# All that a step changes in one statement: the parts do not depend on each other.
_SAVE = text(
    "with o as ("
    + _update("orders", "o", "id", _SAVED, "updated_at = now(), updated_by = :by")
    + "), s as ("
    + _update("checkout_sagas", "s", "order_id", _SAVED_SAGA, _SAGA_ALSO)
    + f"), h as ({_HISTORY}) {_LOG}"
)
_BEGIN = text(
    "with s as (insert into checkout_sagas "  # noqa: S608
    "(order_id, stage, deadline_at, facts, progress) values "
    "(:order_id, :stage, :deadline_at, cast(:facts as jsonb), cast(:progress as jsonb))), "
    f"h as ({_HISTORY}) {_LOG}"
)


async def save_checkouts(
    tx: AsyncSession,
    orders: Sequence[Checkout],
    now: datetime,
    entries: Sequence[Entry] = (),
) -> None:
    """Write back locked checkouts, with the changes of their status and what their sagas heard."""
    if not orders:
        return
    for order in orders:
        order.version += 1
    saved = [_saved(order) for order in orders]
    sagas = [_saved_saga(order, now) for order in orders]
    await tx.execute(
        _SAVE,
        {
            **_columns("o", _SAVED, saved),
            **_columns("s", _SAVED_SAGA, sagas),
            **_traces(orders, entries, now),
            "paid": [order.order_id for order in orders if order.drop_payment_token()],
        },
    )
    for order in orders:
        order.changes.clear()


def _traces(
    orders: Sequence[Checkout],
    entries: Iterable[Entry],
    now: datetime,
) -> dict[str, Any]:
    """The rows that changes leave in history and log, and who made them, when."""
    history = [
        (new_id(), order.order_id, change.from_status, change.to_status, change.reason)
        for order in orders
        for change in order.changes
    ]
    return {
        **_columns("h", _SAVED_HISTORY, history),
        **_columns("l", _SAVED_LOG, [_logged(*entry) for entry in entries]),
        "at": now,
        "by": context.current().actor[:100],
    }


def _columns(
    prefix: str, names: Iterable[str], rows: Sequence[tuple[Any, ...]]
) -> dict[str, list[Any]]:
    """Rows as one list for each column."""
    return {f"{prefix}_{name}": [row[i] for row in rows] for i, name in enumerate(names)}


def _saved(order: Checkout) -> tuple[Any, ...]:
    return tuple(getattr(order, "order_id" if name == "id" else name) for name in _SAVED)


def _saved_saga(order: Checkout, now: datetime) -> tuple[Any, ...]:
    return (
        order.order_id,
        order.stage.value,
        order.deadline_at,
        order.repeats,
        json.dumps(order.progress),
        now if order.deadline_at is None else None,
    )


def _logged(order: Checkout, heard: Heard, envelope: Envelope | None) -> tuple[Any, ...]:
    traceparent = envelope.traceparent if envelope else context.current().traceparent
    # What time brings is no message and no request, and belongs to the trace of the checkout.
    traceparent = traceparent or order.facts.get("traceparent", "")
    sent = json.dumps([type(message).__name__ for message in heard.sent])
    return (
        new_id(),
        order.order_id,
        heard.before,
        heard.heard,
        envelope.id if envelope else None,
        heard.outcome,
        order.stage.value,
        sent,
        context.trace_id_of(traceparent),
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

    Breaks uq_orders_live_cart_id when the cart has a live order already.
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
    began = Heard("moved", order.stage, "Placed", list(sent))
    first = (new_id(), order.order_id, None, order.status, None)
    await tx.execute(
        _BEGIN,
        {
            "order_id": order.order_id,
            "stage": order.stage.value,
            "deadline_at": order.deadline_at,
            "facts": json.dumps(order.facts),
            "progress": json.dumps(order.progress),
            **_traces([], [(order, began, None)], now),
            **_columns("h", _SAVED_HISTORY, [first]),
        },
    )
