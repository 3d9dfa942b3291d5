"""Payments under their order's lock: opened, loaded and saved, each in one statement.

The order's row is always locked first, then the payment's; nothing else is locked beside them. The
objects handed out belong to no session: only `save` writes them.
"""

# ruff: noqa: S608 - the columns named in statements are those of our own tables.

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.errors import NotFound
from chassis.ids import new_id
from contracts.payments import PaymentEvent
from payments.domain.payment import OrderPayments, Payment, Step

ORDER_COLUMNS: Final = [column.name for column in OrderPayments.__table__.columns]
PAYMENT_COLUMNS: Final = [column.name for column in Payment.__table__.columns]
OPENING_COLUMNS: Final = [
    name for name in PAYMENT_COLUMNS if name not in ("created_at", "updated_at", "version")
]
MOVING_COLUMNS: Final = [
    "status",
    "provider_reference",
    "captured_amount",
    "refunded_amount",
    "refunding_amount",
    "failure_reason",
    "review_reason",
    "action_type",
    "action_url",
    "brand",
    "last_four",
    "paypal_email",
    "paid_at",
    "check_at",
    "updated_by",
]
BOTH: Final = ", ".join(
    [*(f"o.{name}" for name in ORDER_COLUMNS), *(f"p.{name}" for name in PAYMENT_COLUMNS)]
)

OPEN: Final = text(
    "with o as ("
    " insert into order_payments (order_id, payment_id, sequence)"
    " values (:order_id, :id, :said) on conflict (order_id) do update"
    " set payment_id = excluded.payment_id, updated_at = now(),"
    " sequence = order_payments.sequence + excluded.sequence where :is_another"
    " returning sequence"
    "), p as ("
    f" insert into payments ({', '.join(OPENING_COLUMNS)})"
    f" select {', '.join(':' + name for name in OPENING_COLUMNS)} from o returning id"
    "), a as ("
    " insert into payment_attempts (idempotency_key, payment_id, kind, request, state)"
    " select :key, id, 'collect', cast(:request as jsonb), 'started' from p"
    " where cast(:key as text) is not null"
    ") select sequence from o"
)
LOCK: Final = text(
    f"select {BOTH} from order_payments o join payments p on p.order_id = o.order_id "
    "where p.id = :payment_id for update of o, p"
)
HOLD_ORDER: Final = text(
    "insert into order_payments (order_id, cancelled_at) values (:order_id, :cancelled_at) "
    "on conflict (order_id) do update set updated_at = now(), "
    "cancelled_at = coalesce(order_payments.cancelled_at, excluded.cancelled_at) "
    f"returning {', '.join(ORDER_COLUMNS)}"
)
NUMBER: Final = text(
    "update order_payments set sequence = :sequence, updated_at = now() where order_id = :order_id"
)
SAVE: Final = text(
    "with o as ("
    " update order_payments set sequence = :sequence, updated_at = now()"
    " where order_id = :order_id"
    "), p as ("
    f" update payments set {', '.join(f'{name} = :{name}' for name in MOVING_COLUMNS)},"
    " version = version + 1, updated_at = now() where id = :payment_id"
    "), a as ("
    " update payment_attempts set state = 'finished', outcome = :outcome, error = :error,"
    " request = request - 'token', updated_at = now() where idempotency_key = :key"
    ") insert into ledger_entries"
    " (id, transaction_id, order_id, payment_id, kind, account, amount, currency)"
    " select entry.*, cast(:currency as text) from unnest(cast(:entry_ids as uuid[]),"
    " cast(:transaction_ids as uuid[]), cast(:order_ids as uuid[]), cast(:payment_ids as uuid[]),"
    " cast(:kinds as text[]), cast(:accounts as text[]), cast(:amounts as bigint[])) as entry"
)
BY_ID: Final = text(f"select {', '.join(PAYMENT_COLUMNS)} from payments where id = :id")
BY_OPERATION: Final = text(
    f"select {', '.join(PAYMENT_COLUMNS)} from payments where operation_id = :operation_id"
)
BY_REFERENCE: Final = text(
    "select id from payments where provider = :provider and provider_reference = :reference"
)
TO_CHECK: Final = text(
    "select id from payments where check_at < :now order by check_at limit :most "
    "for update skip locked"
)
MOVE: Final = text(
    "update payments set customer_id = :after, updated_at = now() where customer_id = :before"
)
SCHEDULE: Final = text("update payments set check_at = :check_at where id = :id")
PUT_OFF: Final = text(
    "update payments set check_at = :until where id = any(cast(:ids as uuid[])) and check_at < :now"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """How the attempt under a key ended."""

    key: str
    outcome: str | None = None
    error: str | None = None


async def open_payment(
    tx: AsyncSession,
    payment: Payment,
    *,
    said: int = 0,
    attempt: tuple[str, dict[str, Any]] | None = None,
    is_another: bool = False,
) -> int | None:
    """Make a payment and its first attempt (key, request); returns the order's sequence.

    None, and nothing is made, when the order has a payment or tombstone already, unless
    `is_another`: then the caller holds the order's lock. `said` events are told with it.
    """
    key, request = attempt or (None, None)
    values = {name: getattr(payment, name) for name in OPENING_COLUMNS}
    values |= {"said": said, "key": key, "request": json.dumps(request), "is_another": is_another}
    found: int | None = (await tx.execute(OPEN, values)).scalar_one_or_none()
    return found


async def lock(tx: AsyncSession, payment_id: UUID) -> tuple[OrderPayments, Payment]:
    """A payment with its order's row, both locked; raises NotFound."""
    row = (await tx.execute(LOCK, {"payment_id": payment_id})).one_or_none()
    if row is None:
        raise NotFound
    count = len(ORDER_COLUMNS)
    return _order(row[:count]), _payment(row[count:])


async def hold_order(
    tx: AsyncSession, order_id: UUID, *, cancelled_at: datetime | None = None
) -> tuple[OrderPayments, Payment | None]:
    """An order's row, locked, and its current payment; the row is made where nothing was known.

    `cancelled_at` leaves the tombstone, which then stays.
    """
    values = {"order_id": order_id, "cancelled_at": cancelled_at}
    order = _order((await tx.execute(HOLD_ORDER, values)).one())
    if order.payment_id is None:
        return order, None
    return order, await find_payment(tx, order.payment_id)


async def save(
    tx: AsyncSession,
    order: OrderPayments,
    payment: Payment,
    step: Step,
    finished: Finished | None = None,
) -> list[PaymentEvent]:
    """Write a locked payment after a step, and its postings; returns its events, numbered."""
    events = [order.record(event) for event in step.events]
    payment.updated_by = context.current().actor
    entries = [
        (transaction_id, posting.kind, account, amount)
        for transaction_id, posting in ((new_id(), posting) for posting in step.postings)
        for account, amount in posting.halves
    ]
    values = {name: getattr(payment, name) for name in MOVING_COLUMNS}
    values |= {
        "order_id": order.order_id,
        "sequence": order.sequence,
        "payment_id": payment.id,
        "currency": payment.currency,
        "key": finished and finished.key,
        "outcome": finished and finished.outcome,
        "error": finished and finished.error,
        "entry_ids": [new_id() for _ in entries],
        "transaction_ids": [entry[0] for entry in entries],
        "order_ids": [order.order_id for _ in entries],
        "payment_ids": [payment.id for _ in entries],
        "kinds": [entry[1] for entry in entries],
        "accounts": [entry[2] for entry in entries],
        "amounts": [entry[3] for entry in entries],
    }
    await tx.execute(SAVE, values)
    return events


async def schedule_check(tx: AsyncSession, payment: Payment) -> None:
    """Write when a locked payment's provider is asked next, and nothing else."""
    await tx.execute(SCHEDULE, {"id": payment.id, "check_at": payment.check_at})


async def answer(
    tx: AsyncSession, order: OrderPayments, *events: PaymentEvent | None
) -> list[PaymentEvent]:
    """Tell something again of a locked order without changing its payment."""
    numbered = [order.record(event) for event in events if event is not None]
    if numbered:
        await tx.execute(NUMBER, {"order_id": order.order_id, "sequence": order.sequence})
    return numbered


async def find_payment(tx: AsyncSession, payment_id: UUID) -> Payment | None:
    """A payment as it stands, not locked."""
    row = (await tx.execute(BY_ID, {"id": payment_id})).one_or_none()
    return None if row is None else _payment(row)


async def find_by_operation(tx: AsyncSession, operation_id: UUID) -> Payment | None:
    """The payment a CollectPayment made."""
    row = (await tx.execute(BY_OPERATION, {"operation_id": operation_id})).one_or_none()
    return None if row is None else _payment(row)


async def find_id_by_reference(tx: AsyncSession, provider: str, reference: str) -> UUID | None:
    """Which payment a provider's charge belongs to."""
    found: UUID | None = (
        await tx.execute(BY_REFERENCE, {"provider": provider, "reference": reference})
    ).scalar_one_or_none()
    return found


async def take_to_check(
    tx: AsyncSession, now: datetime, until: datetime, most: int
) -> Sequence[UUID]:
    """Payments whose provider should be asked now; nobody else takes them before `until`."""
    ids = (await tx.execute(TO_CHECK, {"now": now, "most": most})).scalars().all()
    if ids:
        await tx.execute(PUT_OFF, {"ids": ids, "until": until, "now": now})
    return ids


def _order(row: Sequence[Any]) -> OrderPayments:
    return OrderPayments(**dict(zip(ORDER_COLUMNS, row, strict=True)))


def _payment(row: Sequence[Any]) -> Payment:
    return Payment(**dict(zip(PAYMENT_COLUMNS, row, strict=True)))


async def move_payments(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Let the payments of one customer belong to another."""
    await tx.execute(MOVE, {"before": before, "after": after})
