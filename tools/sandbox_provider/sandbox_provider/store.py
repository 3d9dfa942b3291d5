"""Every query of the provider."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.rows import RowArrays
from sandbox_provider.database import charges, ledger_entries, payment_methods, refunds, webhooks
from sandbox_provider.domain import Charge, Method, Refund, Status
from sandbox_provider.problems import NotFound
from sandbox_provider.switches import Card
from sandbox_provider.views import WebhookRow

_COLUMNS = [f.name for f in fields(Charge) if f.name in charges.c]
_CHANGING_COLUMNS = [
    "status",
    "captured_amount",
    "refunded_amount",
    "failed_refunds",
    "failure_code",
]
_CHANGING_COLUMNS += ["version"]

LIST_DUE = Sql(
    "select * from (select distinct on (lane) * from webhooks where delivered_at is null "
    "and lane <> all(cast(:busy as text[])) order by lane, position) as first "
    "where next_attempt_at <= :now order by position limit :most"
)
MARK_DELIVERED = Sql("update webhooks set delivered_at = :now where id = any(cast(:ids as text[]))")
ENTRIES = RowArrays(
    ledger_entries, ("charge_id", "reference", "currency", "transfer", "account", "amount")
)
ADD_ENTRIES = Sql(ENTRIES.insert())
CHARGES = RowArrays(charges, _COLUMNS)
ADD_CHARGE = Sql(CHARGES.insert())
ADD_WEBHOOK = Sql(
    "insert into webhooks (id, charge_id, lane, body, copies, attempts, next_attempt_at) "
    "values (:id, :charge_id, :lane, :body, :copies, 0, :next_attempt_at)"
)


async def add_charge(connection: AsyncSession, charge: Charge) -> None:
    """Write a new charge and its ledger entries."""
    row = {name: getattr(charge, name) for name in _COLUMNS}
    row["card"] = asdict(charge.card) if charge.card else None
    await driver.execute(connection, ADD_CHARGE, CHARGES.parameters([row]))
    await _add_entries(connection, charge)


async def save_charge(connection: AsyncSession, charge: Charge) -> None:
    """Write the charge after a step, with the ledger entries and refunds of the step."""
    changes = {name: getattr(charge, name) for name in _CHANGING_COLUMNS}
    await connection.execute(update(charges).where(charges.c.id == charge.id).values(changes))
    await _add_entries(connection, charge)
    for event in charge.webhook_events:
        if event.refund:
            await _add_refund(connection, charge, event.refund)


async def lock_charge(connection: AsyncSession, charge_id: str) -> Charge:
    """Lock the row until commit, so that the second of two concurrent steps sees the first."""
    query = select(charges).where(charges.c.id == charge_id).with_for_update()
    return _charge((await connection.execute(query)).first())


async def get_charge(connection: AsyncSession, charge_id: str) -> Charge:
    """Read a charge."""
    query = select(charges).where(charges.c.id == charge_id)
    return _charge((await connection.execute(query)).first())


async def list_charges(connection: AsyncSession, reference: str, limit: int) -> list[Charge]:
    """The charges of one reference, the newest first."""
    query = (
        select(charges)
        .where(charges.c.reference == reference)
        .order_by(charges.c.created_at.desc(), charges.c.id.desc())
        .limit(limit)
    )
    return [_charge(row) for row in await connection.execute(query)]


async def list_entries(
    connection: AsyncSession, *, after: int, reference: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Ledger entries by id. No id at or below the last one returned can appear later."""
    # An id is assigned before its row commits, so a reader could skip an entry in flight.
    # The lock waits for open writers; the next ones wait for this short transaction.
    await connection.execute(text("LOCK TABLE ledger_entries IN SHARE MODE"))
    query = select(ledger_entries).where(ledger_entries.c.id > after)
    if reference is not None:
        query = query.where(ledger_entries.c.reference == reference)
    return (await connection.execute(query.order_by(ledger_entries.c.id).limit(limit))).all()


async def add_payment_method(
    connection: AsyncSession, method_id: str, method: Method, switch_name: str
) -> None:
    """Store a payment method with its token's switch."""
    row = {"id": method_id, "type": method, "switch_name": switch_name}
    await connection.execute(insert(payment_methods), row)


async def find_payment_method(connection: AsyncSession, method_id: str) -> Row[Any] | None:
    """Find a saved method that was not deleted."""
    query = select(payment_methods).where(
        payment_methods.c.id == method_id, payment_methods.c.deleted_at.is_(None)
    )
    return (await connection.execute(query)).first()


async def delete_payment_method(connection: AsyncSession, method_id: str) -> None:
    """Delete a saved method; raises NotFound."""
    query = (
        update(payment_methods)
        .where(payment_methods.c.id == method_id, payment_methods.c.deleted_at.is_(None))
        .values(deleted_at=func.now())
        .returning(payment_methods.c.id)
    )
    if (await connection.execute(query)).first() is None:
        raise NotFound("payment_method_not_found", "There is no such saved payment method.")


async def add_webhooks(connection: AsyncSession, rows: Sequence[WebhookRow]) -> None:
    """Store webhooks to send."""
    if rows:
        await driver.executemany(connection, ADD_WEBHOOK, rows)


async def list_due_webhooks(
    connection: AsyncSession, *, now: datetime, busy: Sequence[str], limit: int
) -> Sequence[Any]:
    """The first undelivered webhook of each lane that is not busy, where it is due."""
    values = {"now": now, "busy": list(busy), "most": limit}
    return await driver.fetch(connection, LIST_DUE, values)


async def mark_delivered(connection: AsyncSession, ids: list[str], now: datetime) -> None:
    """Mark accepted webhooks."""
    await driver.execute(connection, MARK_DELIVERED, {"now": now, "ids": ids})


async def postpone_webhook(connection: AsyncSession, webhook_id: str, until: datetime) -> None:
    """Count a failed delivery and schedule the next one."""
    query = update(webhooks).where(webhooks.c.id == webhook_id)
    attempts = webhooks.c.attempts + 1
    await connection.execute(query.values(attempts=attempts, next_attempt_at=until))


async def _add_entries(connection: AsyncSession, charge: Charge) -> None:
    if not charge.entries:
        return
    shared = {"charge_id": charge.id, "reference": charge.reference, "currency": charge.currency}
    rows = [shared | asdict(entry) for entry in charge.entries]
    await driver.execute(connection, ADD_ENTRIES, ENTRIES.parameters(rows))


async def _add_refund(connection: AsyncSession, charge: Charge, refund: Refund) -> None:
    await connection.execute(insert(refunds), {"charge_id": charge.id, **asdict(refund)})


def _charge(row: Row[Any] | None) -> Charge:
    if row is None:
        raise NotFound("charge_not_found", "There is no such charge.")
    values = {name: getattr(row, name) for name in _COLUMNS}
    values["method"], values["status"] = Method(row.method), Status(row.status)
    values["card"] = Card(**row.card) if row.card else None
    return Charge(**values)
