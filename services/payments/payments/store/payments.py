"""Payments, their attempts and refunds under their order's lock, and the webhooks received.

The order's row is always locked first, then the payment's; no other row is locked besides them. The
payments returned belong to no session: only `save_payment` writes them, in one statement.
"""

# ruff: noqa: S608 - the columns named in statements are those of our own tables.

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, driver
from chassis.driver import Sql
from chassis.errors import NotFound
from chassis.ids import new_id
from chassis.rows import RowArrays
from contracts.payments import PaymentEvent
from payments.domain.charge import Webhook
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.refund import Refund
from payments.domain.tables import AttemptKind, WebhookEffect, ledger_entries

ORDER_COLUMNS: Final = [column.name for column in OrderPayments.__table__.columns]
PAYMENT_COLUMNS: Final = [column.name for column in Payment.__table__.columns]
INSERTED_COLUMNS: Final = [
    name for name in PAYMENT_COLUMNS if name not in ("created_at", "updated_at", "version")
]
CHANGING_COLUMNS: Final = [
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
LEDGER_ROWS: Final = RowArrays(
    ledger_entries,
    ("id", "transaction_id", "order_id", "payment_id", "kind", "account", "amount", "currency"),
    prefix="entry_",
)
LOCKED_COLUMNS: Final = ", ".join(
    [*(f"o.{name}" for name in ORDER_COLUMNS), *(f"p.{name}" for name in PAYMENT_COLUMNS)]
)

INSERT: Final = Sql(
    "with o as ("
    " insert into order_payments (order_id, payment_id, sequence)"
    " values (:order_id, :id, :event_count) on conflict (order_id) do update"
    " set payment_id = excluded.payment_id, updated_at = now(),"
    " sequence = order_payments.sequence + excluded.sequence where :is_another"
    " returning sequence"
    "), p as ("
    f" insert into payments ({', '.join(INSERTED_COLUMNS)})"
    f" select {', '.join(':' + name for name in INSERTED_COLUMNS)} from o returning id"
    "), a as ("
    " insert into payment_attempts (idempotency_key, payment_id, kind, request, state)"
    " select :key, id, 'collect', cast(:request as jsonb), 'started' from p"
    " where cast(:key as text) is not null"
    ") select sequence from o"
)
LOCK_PAYMENT: Final = Sql(
    f"select {LOCKED_COLUMNS} from order_payments o join payments p on p.order_id = o.order_id "
    "where p.id = :payment_id for update of o, p"
)
LOCK_ORDER: Final = Sql(
    "insert into order_payments (order_id, cancelled_at) values (:order_id, :cancelled_at) "
    "on conflict (order_id) do update set updated_at = now(), "
    "cancelled_at = coalesce(order_payments.cancelled_at, excluded.cancelled_at) "
    f"returning {', '.join(ORDER_COLUMNS)}"
)
SET_SEQUENCE: Final = Sql(
    "update order_payments set sequence = :sequence, updated_at = now() where order_id = :order_id"
)
SAVE: Final = Sql(
    "with o as ("
    " update order_payments set sequence = :sequence, updated_at = now()"
    " where order_id = :order_id"
    "), p as ("
    f" update payments set {', '.join(f'{name} = :{name}' for name in CHANGING_COLUMNS)},"
    " version = version + 1, updated_at = now() where id = :payment_id"
    "), a as ("
    " update payment_attempts set state = 'finished', outcome = :outcome, error = :error,"
    " request = request - 'token', updated_at = now() where idempotency_key = :key"
    f") {LEDGER_ROWS.insert()}"
)
BY_ID: Final = Sql(f"select {', '.join(PAYMENT_COLUMNS)} from payments where id = :id")
BY_OPERATION: Final = Sql(
    f"select {', '.join(PAYMENT_COLUMNS)} from payments where operation_id = :operation_id"
)
BY_REFERENCE: Final = Sql(
    "select id from payments where provider = :provider and provider_reference = :reference"
)
DUE_CHECKS: Final = Sql(
    "select id from payments where check_at < :now order by check_at limit :most "
    "for update skip locked"
)
POSTPONE_CHECKS: Final = Sql(
    "update payments set check_at = :until where id = any(cast(:ids as uuid[])) and check_at < :now"
)
SET_CHECK: Final = Sql("update payments set check_at = :check_at where id = :id")
REASSIGN: Final = Sql(
    "update payments set customer_id = :after, updated_at = now() where customer_id = :before"
)
START_ATTEMPT: Final = Sql(
    "insert into payment_attempts (idempotency_key, payment_id, kind, request, state) "
    "values (:key, :payment_id, :kind, cast(:request as jsonb), 'started') "
    "on conflict (idempotency_key) do update set updated_at = now()"
)
FINISH_ATTEMPT: Final = Sql(
    "update payment_attempts set state = 'finished', request = request - 'token', "
    "updated_at = now() where idempotency_key = :key and state = 'started' returning 1"
)
ERASE_TOKEN: Final = Sql(
    "update payment_attempts set request = request - 'token' where idempotency_key = :key"
)
ATTEMPT_REQUEST: Final = Sql("select request from payment_attempts where idempotency_key = :key")
CLAIM_STALE_REFUNDS: Final = Sql(
    "update refunds set updated_at = :now where id in (select id from refunds "
    "where state = 'reserved' and updated_at < :before order by updated_at limit :most "
    "for update skip locked) returning operation_id"
)
ADD_WEBHOOK: Final = Sql(
    "insert into provider_events (provider, event_id, type, payment_id, charge, effect) "
    "values (:provider, :event_id, :type, :payment_id, cast(:charge as jsonb), :effect) "
    "on conflict do nothing returning 1"
)
SET_WEBHOOK_EFFECT: Final = Sql(
    "update provider_events set effect = :effect "
    "where provider = :provider and event_id = :event_id"
)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How the attempt under a key ended."""

    key: str
    outcome: str | None = None
    error: str | None = None


async def insert_payment(
    tx: AsyncSession,
    payment: Payment,
    *,
    event_count: int = 0,
    attempt: tuple[str, dict[str, Any]] | None = None,
    is_another: bool = False,
) -> int | None:
    """Insert a payment and its first attempt (key, request); returns the order's sequence.

    event_count: how many events the caller publishes with it, by which the sequence grows.
    is_another: the caller holds the order's lock. Otherwise None is returned, and no row is
    written, when the order has a payment or tombstone already.
    """
    key, request = attempt or (None, None)
    values = {name: getattr(payment, name) for name in INSERTED_COLUMNS}
    values |= {"event_count": event_count, "is_another": is_another}
    values |= {"key": key, "request": json.dumps(request)}
    found: int | None = await driver.fetchval(tx, INSERT, values)
    return found


async def lock_payment(tx: AsyncSession, payment_id: UUID) -> tuple[OrderPayments, Payment]:
    """A payment with its order's row, both locked; raises NotFound."""
    row = await driver.fetchrow(tx, LOCK_PAYMENT, {"payment_id": payment_id})
    if row is None:
        raise NotFound
    count = len(ORDER_COLUMNS)
    return _order(row[:count]), _payment(row[count:])


async def lock_order(
    tx: AsyncSession, order_id: UUID, *, cancelled_at: datetime | None = None
) -> tuple[OrderPayments, Payment | None]:
    """An order's row, locked and inserted where it was missing, and its current payment.

    cancelled_at: sets the tombstone, unless the order has one.
    """
    values = {"order_id": order_id, "cancelled_at": cancelled_at}
    order = _order(await driver.fetchrow(tx, LOCK_ORDER, values))
    if order.payment_id is None:
        return order, None
    return order, await find_payment(tx, order.payment_id)


async def save_payment(
    tx: AsyncSession,
    order: OrderPayments,
    payment: Payment,
    step: Step,
    result: AttemptResult | None = None,
) -> list[PaymentEvent]:
    """Write a locked payment after a step, and its postings; returns its events, numbered."""
    events = [order.record(event) for event in step.events]
    payment.updated_by = context.current().actor
    values = {name: getattr(payment, name) for name in CHANGING_COLUMNS}
    values |= {
        "order_id": order.order_id,
        "sequence": order.sequence,
        "payment_id": payment.id,
        "key": result and result.key,
        "outcome": result and result.outcome,
        "error": result and result.error,
    }
    values |= LEDGER_ROWS.parameters(_ledger_rows(payment, step))
    await driver.execute(tx, SAVE, values)
    return events


def _ledger_rows(payment: Payment, step: Step) -> list[dict[str, Any]]:
    transactions = [(new_id(), posting) for posting in step.postings]
    return [
        {
            "id": new_id(),
            "transaction_id": transaction_id,
            "order_id": payment.order_id,
            "payment_id": payment.id,
            "kind": posting.kind,
            "account": account,
            "amount": amount,
            "currency": payment.currency,
        }
        for transaction_id, posting in transactions
        for account, amount in posting.entries
    ]


async def save_check(tx: AsyncSession, payment: Payment) -> None:
    """Write when a locked payment is checked next, and no other column."""
    await driver.execute(tx, SET_CHECK, {"id": payment.id, "check_at": payment.check_at})


async def number_events(
    tx: AsyncSession, order: OrderPayments, *events: PaymentEvent | None
) -> list[PaymentEvent]:
    """Number events of a locked order whose payment does not change; None is left out."""
    numbered = [order.record(event) for event in events if event is not None]
    if numbered:
        await driver.execute(
            tx, SET_SEQUENCE, {"order_id": order.order_id, "sequence": order.sequence}
        )
    return numbered


async def find_payment(tx: AsyncSession, payment_id: UUID) -> Payment | None:
    """A payment by its id, not locked."""
    row = await driver.fetchrow(tx, BY_ID, {"id": payment_id})
    return None if row is None else _payment(row)


async def find_by_operation(tx: AsyncSession, operation_id: UUID) -> Payment | None:
    """The payment of a CollectPayment, not locked."""
    row = await driver.fetchrow(tx, BY_OPERATION, {"operation_id": operation_id})
    return None if row is None else _payment(row)


async def find_id_by_reference(tx: AsyncSession, provider: str, reference: str) -> UUID | None:
    """The id of the payment of a provider's charge."""
    found: UUID | None = await driver.fetchval(
        tx, BY_REFERENCE, {"provider": provider, "reference": reference}
    )
    return found


async def claim_due_checks(
    tx: AsyncSession, now: datetime, until: datetime, most: int
) -> Sequence[UUID]:
    """Payments whose check is due, postponed to `until` so that no other sweep claims them."""
    ids = [row[0] for row in await driver.fetch(tx, DUE_CHECKS, {"now": now, "most": most})]
    if ids:
        await driver.execute(tx, POSTPONE_CHECKS, {"ids": ids, "until": until, "now": now})
    return ids


async def reassign_payments(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Move the payments of one customer to another."""
    await driver.execute(tx, REASSIGN, {"before": before, "after": after})


async def start_attempt(
    tx: AsyncSession, payment_id: UUID, kind: AttemptKind, key: str, request: dict[str, Any]
) -> None:
    """Store a call to a provider before it is made; the row of a retry stays as it is."""
    values = {"key": key, "payment_id": payment_id, "kind": kind, "request": json.dumps(request)}
    await driver.execute(tx, START_ATTEMPT, values)


async def finish_attempt(tx: AsyncSession, key: str) -> bool:
    """Close an attempt whose outcome came by webhook or sweep; False when it was closed before."""
    return await driver.fetchrow(tx, FINISH_ATTEMPT, {"key": key}) is not None


async def erase_token(tx: AsyncSession, key: str) -> None:
    """Erase the customer's token from an attempt that no longer needs it."""
    await driver.execute(tx, ERASE_TOKEN, {"key": key})


async def find_attempt_request(tx: AsyncSession, key: str) -> dict[str, Any] | None:
    """The stored request of an attempt."""
    found: dict[str, Any] | None = await driver.fetchval(tx, ATTEMPT_REQUEST, {"key": key})
    return found


async def find_refund(tx: AsyncSession, operation_id: UUID) -> Refund | None:
    """The refund of an operation; a caller that changes it must hold its payment's lock."""
    query = select(Refund).where(Refund.operation_id == operation_id)
    return (await tx.scalars(query)).one_or_none()


async def find_reserved_refund(
    tx: AsyncSession, payment_id: UUID, key: str | None
) -> Refund | None:
    """The refund of a payment whose result under this key is pending."""
    query = select(Refund).where(Refund.payment_id == payment_id, Refund.state == "reserved")
    reserved = (await tx.scalars(query)).all()
    return next((refund for refund in reserved if refund.key == key), None)


async def claim_stale_refunds(
    tx: AsyncSession, now: datetime, after: timedelta, most: int
) -> list[UUID]:
    """Operations whose refund has had no result for `after`, claimed for as long again."""
    stale = {"now": now, "before": now - after, "most": most}
    return [row[0] for row in await driver.fetch(tx, CLAIM_STALE_REFUNDS, stale)]


async def add_webhook(
    tx: AsyncSession,
    provider: str,
    webhook: Webhook,
    payment_id: UUID | None,
    effect: WebhookEffect,
) -> bool:
    """Store a webhook; False when it was received before."""
    values = {
        "provider": provider,
        "event_id": webhook.id,
        "type": webhook.type,
        "payment_id": payment_id,
        "charge": json.dumps(asdict(webhook.charge), default=str),
        "effect": effect,
    }
    return await driver.fetchrow(tx, ADD_WEBHOOK, values) is not None


async def set_webhook_effect(
    tx: AsyncSession, provider: str, webhook: Webhook, effect: WebhookEffect
) -> None:
    """Store the effect of a webhook that was just added."""
    values = {"provider": provider, "event_id": webhook.id, "effect": effect}
    await driver.execute(tx, SET_WEBHOOK_EFFECT, values)


def _order(row: Sequence[Any]) -> OrderPayments:
    return OrderPayments(**dict(zip(ORDER_COLUMNS, row, strict=True)))


def _payment(row: Sequence[Any]) -> Payment:
    return Payment(**dict(zip(PAYMENT_COLUMNS, row, strict=True)))
