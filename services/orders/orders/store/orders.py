"""Orders and their checkouts: locking and saving them, and reading them for those who may.

One statement saves any number of checkouts. The rule of who may see an order stands in each query.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    false,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, driver
from chassis.auth import Caller
from chassis.db import Database
from chassis.driver import Sql
from chassis.ids import new_id
from chassis.rows import RowArrays
from contracts.envelope import Envelope
from orders.domain.checkout import Change, Checkout, Facts, Progress
from orders.domain.order import (
    OrderNotFound,
    PaymentStatus,
    Stage,
    Status,
    history_table,
    line_table,
    order_table,
    saga_log_table,
    saga_table,
    shipment_table,
)
from orders.saga.engine import Transition

CHECKOUT_FIELDS: Final = tuple(each.name for each in fields(Checkout))
AGREED: Final = frozenset(
    {
        "order_number",
        "cart_id",
        "customer_id",
        "user_id",
        "access_hash",
        "currency",
        "shipping_amount",
        "total_amount",
        "payment_method",
        "placed_at",
    }
)
"""The columns of an order that no step of its saga changes."""

_ORDER_COLUMNS: Final = tuple(name for name in CHECKOUT_FIELDS if name in order_table.c)
_SAGA_COLUMNS: Final = ("stage", "deadline_at", "repeats", "facts", "progress")
_LOADED: Final = ", ".join(
    ["o.id as order_id", *(f"o.{n}" for n in _ORDER_COLUMNS), *(f"s.{n}" for n in _SAGA_COLUMNS)]
)
_LOCKED: Final = (
    f"select {_LOADED} from orders o join checkout_sagas s on s.order_id = o.id "  # noqa: S608
    "where o.id = any(cast(:ids as uuid[]))"
)
_LOCK: Final = Sql(f"{_LOCKED} order by o.id for update")
_LOCK_DUE: Final = Sql(f"{_LOCKED} and s.deadline_at <= :now order by o.id for update skip locked")
_DUE: Final = Sql(
    "select order_id from checkout_sagas where deadline_at <= :now "
    "and order_id <> all(cast(:without as uuid[])) order by deadline_at limit :most"
)

_ORDERS: Final = RowArrays(
    order_table, ["id", *(name for name in _ORDER_COLUMNS if name not in AGREED)], "o_"
)
_SAGAS: Final = RowArrays(
    saga_table, ["order_id", "stage", "deadline_at", "repeats", "progress", "ended_at"], "s_"
)
_HISTORY: Final = RowArrays(
    history_table, ["id", "order_id", "from_status", "to_status", "reason"], "h_"
)
_LOG: Final = RowArrays(
    saga_log_table,
    ["id", "order_id", "stage", "heard", "message_id", "outcome", "next_stage", "sent", "trace_id"],
    "l_",
)
_TRACES: Final = (
    f"h as ({_HISTORY.insert(also={'at': ':at', 'by': ':by'})}) {_LOG.insert(also={'at': ':at'})}"
)
# Of the facts only the payment token ever changes.
_DROP_TOKENS: Final = (
    "updated_at = now(), facts = case when checkout_sagas.order_id = any(cast(:paid as uuid[])) "
    "then facts #- '{payment,token}' else facts end"
)
# The parts of a statement do not depend on each other, so that one round trip saves a step.
_SAVE: Final = Sql(
    f"with o as ({_ORDERS.update_rows('id', also='updated_at = now(), updated_by = :by')}), "
    f"s as ({_SAGAS.update_rows('order_id', also=_DROP_TOKENS)}), {_TRACES}"
)

_NEW_ORDER: Final = RowArrays(
    order_table,
    [name for name in order_table.c.keys() if name not in ("created_at", "updated_at")],  # noqa: SIM118
    "o_",
)
_NEW_LINES: Final = RowArrays(
    line_table,
    [name for name in line_table.c.keys() if name not in ("quantity_shipped", "quantity_returned")],  # noqa: SIM118
    "n_",
)
_NEW_SAGA: Final = RowArrays(saga_table, ["order_id", *_SAGA_COLUMNS], "s_")
_BEGIN: Final = Sql(
    f"with o as ({_NEW_ORDER.insert()}), n as ({_NEW_LINES.insert()}), "
    f"s as ({_NEW_SAGA.insert()}), {_TRACES}"
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a saga received and did, with the envelope of the message if it was one."""

    order: Checkout
    transition: Transition
    envelope: Envelope | None = None

    def row(self) -> dict[str, Any]:
        traceparent = (self.envelope or context.current()).traceparent
        # A deadline is no message and no request, and belongs to the trace of the checkout.
        traceparent = traceparent or self.order.facts.traceparent
        return {
            "id": new_id(),
            "order_id": self.order.order_id,
            "stage": self.transition.before,
            "heard": self.transition.trigger,
            "message_id": self.envelope.id if self.envelope else None,
            "outcome": self.transition.outcome,
            "next_stage": self.order.stage,
            "sent": [type(message).__name__ for message in self.transition.sent],
            "trace_id": context.trace_id_of(traceparent),
        }


def _checkout(row: Any) -> Checkout:
    columns = dict(row)
    return Checkout(
        status=Status(columns.pop("status")),
        payment_status=PaymentStatus(columns.pop("payment_status")),
        stage=Stage(columns.pop("stage")),
        facts=Facts.model_validate(columns.pop("facts")),
        progress=Progress.model_validate(columns.pop("progress")),
        **columns,
    )


async def lock_checkouts(tx: AsyncSession, order_ids: Iterable[UUID]) -> dict[UUID, Checkout]:
    """Lock orders with their sagas, always in the order of their ids; unknown ones are left out."""
    rows = await driver.fetch(tx, _LOCK, {"ids": sorted(set(order_ids))})
    return {row["order_id"]: _checkout(row) for row in rows}


async def lock_checkout(tx: AsyncSession, order_id: UUID) -> Checkout:
    """Lock an order with its saga. Raises OrderNotFound."""
    found = await lock_checkouts(tx, [order_id])
    if order_id not in found:
        raise OrderNotFound
    return found[order_id]


async def list_due(
    database: Database, now: datetime, without: Sequence[UUID], most: int
) -> Sequence[UUID]:
    """Orders whose deadline passed, the longest ago first."""
    rows = await database.fetch(_DUE, {"now": now, "without": without, "most": most})
    return [row.order_id for row in rows]


async def lock_due(tx: AsyncSession, ids: Sequence[UUID], now: datetime) -> list[Checkout]:
    """Lock those whose deadline is still past, except those that another process has locked."""
    rows = await driver.fetch(tx, _LOCK_DUE, {"ids": ids, "now": now})
    return [_checkout(row) for row in rows]


async def save_checkouts(
    tx: AsyncSession, orders: Sequence[Checkout], now: datetime, entries: Sequence[LogEntry] = ()
) -> None:
    """Write back locked checkouts, with the changes of their status and the log of their sagas."""
    if not orders:
        return
    for order in orders:
        order.version += 1
    paid = [order.order_id for order in orders if order.drop_payment_token()]
    history = [_change_row(order, change) for order in orders for change in order.changes]
    await driver.execute(
        tx,
        _SAVE,
        {
            **_ORDERS.parameters(_order_row(order) for order in orders),
            **_SAGAS.parameters(_saga_row(order, now) for order in orders),
            **_trace_parameters(history, entries, now),
            "paid": paid,
        },
    )
    for order in orders:
        order.changes.clear()


async def insert_checkout(
    tx: AsyncSession, row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], entry: LogEntry
) -> None:
    """Write a new order (see `new_order_row`) with its lines and its saga.

    Breaks uq_orders_live_cart_id when the cart has a live order already.
    """
    order = entry.order
    saga = {**_saga_row(order, order.placed_at), "facts": order.facts.model_dump(mode="json")}
    first = _change_row(order, Change(None, order.status))
    await driver.execute(
        tx,
        _BEGIN,
        {
            **_NEW_ORDER.parameters([row]),
            **_NEW_LINES.parameters(lines),
            **_NEW_SAGA.parameters([saga]),
            **_trace_parameters([first], [entry], order.placed_at),
        },
    )


def new_order_row(order: Checkout, agreed: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a new order; `agreed` are the columns that a Checkout does not carry."""
    return {**_order_row(order), **agreed}


def _order_row(order: Checkout) -> dict[str, Any]:
    return {"id": order.order_id, **{name: getattr(order, name) for name in _ORDER_COLUMNS}}


def _saga_row(order: Checkout, now: datetime) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "stage": order.stage,
        "deadline_at": order.deadline_at,
        "repeats": order.repeats,
        "progress": order.progress.to_json(),
        "ended_at": now if order.deadline_at is None else None,
    }


def _change_row(order: Checkout, change: Change) -> dict[str, Any]:
    return {
        "id": new_id(),
        "order_id": order.order_id,
        "from_status": change.from_status,
        "to_status": change.to_status,
        "reason": change.reason,
    }


def _trace_parameters(
    history: Sequence[dict[str, Any]], entries: Iterable[LogEntry], now: datetime
) -> dict[str, Any]:
    """The rows of history and log, with who made them and when."""
    return {
        **_HISTORY.parameters(history),
        **_LOG.parameters(entry.row() for entry in entries),
        "at": now,
        "by": context.current().actor[:100],
    }


# Reading.

_WITH_STAGE: Final = select(order_table, saga_table.c.stage).join(
    saga_table, saga_table.c.order_id == order_table.c.id
)
_POLL: Final = Sql(
    "select o.*, s.stage from orders o join checkout_sagas s on s.order_id = o.id where o.id = :id"
)
_VERSIONS: Final = Sql("select id, version from orders where id = any(cast(:ids as uuid[]))")
_LEASE: Final = Sql(
    "insert into order_number_blocks (year, next_number) values (:year, 1 + :count) "
    "on conflict (year) do update set next_number = order_number_blocks.next_number + :count "
    "returning next_number - :count"
)


def owned_by(caller: Caller | None, token_hash: str | None) -> ColumnElement[bool]:
    """Which orders a customer may change: their own, and the one that their token names."""
    rules: list[ColumnElement[bool]] = [false()]
    if caller is not None:
        rules.append(order_table.c.customer_id == caller.customer_id)
    if token_hash is not None:
        rules.append(order_table.c.access_hash == token_hash)
    return or_(*rules)


def visible_to(caller: Caller | None, token_hash: str | None) -> ColumnElement[bool]:
    """Which orders a caller may see: their own, the one their token names, or all for staff."""
    if caller is not None and caller.may("orders:read"):
        return order_table.c.id.is_not(None)
    return owned_by(caller, token_hash)


async def get_order(tx: AsyncSession, order_id: UUID, rule: ColumnElement[bool]) -> RowMapping:
    """An order with the `stage` of its saga. Raises OrderNotFound, also for those it hides."""
    query = _WITH_STAGE.where(order_table.c.id == order_id, rule)
    row = (await tx.execute(query)).mappings().one_or_none()
    if row is None:
        raise OrderNotFound
    return row


async def poll_order(database: Database, order_id: UUID) -> Mapping[str, Any]:
    """The same for a request that waits, read without a transaction."""
    return dict(await database.fetchrow(_POLL, {"id": order_id}))


async def find_order(tx: AsyncSession, order_id: UUID) -> RowMapping | None:
    """An order by its id, for other services."""
    query = select(order_table).where(order_table.c.id == order_id)
    return (await tx.execute(query)).mappings().one_or_none()


async def list_orders(
    tx: AsyncSession,
    rule: ColumnElement[bool],
    limit: int,
    after: tuple[datetime, UUID] | None,
    **filters: Any,
) -> Sequence[Any]:
    """Newest first, `limit + 1` rows; `filters` are equalities by column."""
    placed = (order_table.c.placed_at, order_table.c.id)
    query = select(order_table).where(rule, *(order_table.c[k] == v for k, v in filters.items()))
    if after is not None:
        query = query.where(tuple_(*placed) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in placed)).limit(limit + 1)
    return (await tx.execute(query)).all()


async def list_versions(tx: AsyncSession, order_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The versions of orders by their ids; an order that does not exist is missing."""
    rows = await driver.fetch(tx, _VERSIONS, {"ids": list(order_ids)})
    return {row.id: row.version for row in rows}


async def list_lines(tx: AsyncSession, order_id: UUID) -> Sequence[Any]:
    """The lines of an order, by position."""
    query = select(line_table).where(line_table.c.order_id == order_id)
    return (await tx.execute(query.order_by(line_table.c.position))).all()


async def list_shipments(tx: AsyncSession, order_id: UUID) -> Sequence[Any]:
    """The parcels of an order."""
    query = select(shipment_table).where(shipment_table.c.order_id == order_id)
    return (await tx.execute(query.order_by(shipment_table.c.shipment_id))).all()


async def list_history(tx: AsyncSession, order_id: UUID) -> Sequence[Any]:
    """Every change of an order's status, oldest first."""
    query = select(history_table).where(history_table.c.order_id == order_id)
    return (await tx.execute(query.order_by(history_table.c.at, history_table.c.id))).all()


async def claim_order(tx: AsyncSession, order_id: UUID, caller: Caller) -> bool:
    """Give a guest's order to the owner of its e-mail address; returns whether it had none."""
    own = {"customer_id": caller.customer_id, "user_id": caller.id}
    query = (
        update(order_table)
        .where(
            order_table.c.id == order_id,
            order_table.c.customer_id.is_(None),
            order_table.c.contact_email == caller.email.lower(),
        )
        .values(**own, version=order_table.c.version + 1)
        .returning(order_table.c.id)
    )
    return (await tx.execute(query)).first() is not None


async def move_orders(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Move the orders of one customer to another: both were the same person."""
    query = update(order_table).where(order_table.c.customer_id == before)
    await tx.execute(query.values(customer_id=after))


async def lease_numbers(tx: AsyncSession, year: int, count: int) -> int:
    """Take `count` order numbers of a year; returns the first."""
    first: int = await driver.fetchval(tx, _LEASE, {"year": year, "count": count})
    return first
