"""The audit trail: actor, action, target, time, reason, and the state before and after."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.ids import new_id
from chassis.ops.tables import audit_entries
from chassis.wire import View

State = dict[str, Any]
RECORDED = "audit_recorded"
CREATED = "audit_created"


class AuditView(View):
    """An audited action; `before` and `after` are the states that it changed."""

    id: UUID
    at: datetime
    actor: str
    action: str
    target: str
    reason: str
    before: State | None
    after: State | None
    request_id: str | None
    trace_id: str | None


async def record(
    tx: AsyncSession,
    action: str,
    target: object,
    reason: str,
    *,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """Record an action of the current actor in its transaction; the states must be JSON."""
    await record_all(tx, action, reason, [(str(target), before, after)])


async def record_all(
    tx: AsyncSession,
    action: str,
    reason: str,
    entries: Sequence[tuple[str, State | None, State | None]],
) -> None:
    """Record one action on several targets: (target, before, after) each."""
    if not entries:
        return
    now = context.current()
    shared = {
        "actor": now.actor,
        "action": action,
        "reason": reason,
        "request_id": now.request_id,
        "trace_id": now.trace_id,
    }
    rows = [
        {"id": new_id(), "target": target, "before": before, "after": after, **shared}
        for target, before, after in entries
    ]
    await tx.execute(insert(audit_entries), rows)
    tx.info[RECORDED] = True


def name_created(tx: AsyncSession, *targets: object) -> None:
    """Name the targets of a staff operation that neither its path nor its messages name."""
    tx.info.setdefault(CREATED, []).extend(str(target) for target in targets)


def created(tx: AsyncSession) -> list[str]:
    """The targets that `name_created` named in this transaction."""
    named: list[str] = tx.info.get(CREATED, [])
    return named


def has_recorded(tx: AsyncSession) -> bool:
    """Whether this transaction has an entry already."""
    return RECORDED in tx.info


async def list_entries(
    tx: AsyncSession, *, target: str | None, before: UUID | None, limit: int
) -> Sequence[Any]:
    """Entries, newest first, `limit + 1` rows."""
    query = select(audit_entries).order_by(audit_entries.c.id.desc()).limit(limit + 1)
    if target is not None:
        query = query.where(audit_entries.c.target == target)
    if before is not None:
        query = query.where(audit_entries.c.id < before)
    return (await tx.execute(query)).all()
