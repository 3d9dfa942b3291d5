"""Lists, redrives and discards dead letters.

A dead letter is republished through the outbox, in the transaction that deletes it from the table
and records it in the audit trail. It goes to the service's own work queue alone, so that no other
service receives it again, and with its id, so that the inbox recognises a duplicate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox, outbox, tables
from chassis.errors import NotFound
from chassis.messaging import incoming
from chassis.ops import audit
from chassis.ops.tables import dead_letters

WORK_KEY = "work"
REDRIVEN = "x-redriven"
FAILURE = (
    incoming.ATTEMPTS,
    incoming.ERROR,
    incoming.ERROR_DETAIL,
    incoming.FIRST_FAILED,
    incoming.LAST_FAILED,
)
REOPEN = text("select inbox_reopen(cast(:ids as uuid[]))")
SHOWN = [column for column in dead_letters.c if column.name not in ("body", "headers", "digest")]


class DeadLetterUnknown(NotFound):
    """There is no such dead letter; perhaps it was redriven or discarded."""

    code = "dead_letter_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A selection of dead letters; None does not filter. `ids` are ids of the table."""

    ids: Sequence[UUID] | None = None
    error: str | None = None
    type: str | None = None
    subject: str | None = None

    def rule(self) -> ColumnElement[bool]:
        """The selection as an SQL condition."""
        rules: list[ColumnElement[bool]] = [true()]
        if self.ids is not None:
            rules.append(dead_letters.c.id.in_(self.ids))
        for name in ("error", "type", "subject"):
            wanted = getattr(self, name)
            if wanted is not None:
                rules.append(dead_letters.c[name] == wanted)
        return and_(*rules)


@dataclass(frozen=True, slots=True)
class Redriven:
    """The result of a redrive: numbers republished and remaining, and the shards to wake."""

    count: int
    shards: set[int]
    too_old: int
    unreadable: int
    remaining: int


async def list_dead_letters(
    tx: AsyncSession, wanted: Filter, *, before: UUID | None, limit: int
) -> Sequence[Any]:
    """Dead letters without their bodies, newest first, `limit + 1` rows."""
    query: Select[Any] = select(*SHOWN).where(wanted.rule()).order_by(dead_letters.c.id.desc())
    if before is not None:
        query = query.where(dead_letters.c.id < before)
    return list(await tx.execute(query.limit(limit + 1)))


async def list_groups(tx: AsyncSession) -> Sequence[Any]:
    """The number of dead letters by error and type, the largest first."""
    columns = dead_letters.c
    query = (
        select(
            columns.error,
            columns.type,
            func.count().label("count"),
            func.min(columns.first_failed_at).label("first_failed_at"),
            func.max(columns.last_failed_at).label("last_failed_at"),
            func.max(columns.error_detail).label("example"),
        )
        .group_by(columns.error, columns.type)
        .order_by(func.count().desc(), columns.error, columns.type)
    )
    return (await tx.execute(query)).all()


async def get_dead_letter(tx: AsyncSession, dead_letter_id: UUID) -> Any:
    """One dead letter, by its id or its message's. Raises DeadLetterUnknown."""
    columns = dead_letters.c
    query = select(dead_letters).where(
        or_(columns.id == dead_letter_id, columns.message_id == dead_letter_id)
    )
    found = (await tx.execute(query.order_by(columns.id.desc()).limit(1))).one_or_none()
    if found is None:
        raise DeadLetterUnknown
    return found


async def redrive(
    tx: AsyncSession, service: str, wanted: Filter, *, limit: int, force: bool, reason: str
) -> Redriven:
    """Republish at most `limit` of the selected dead letters, oldest first.

    A message that is older than the inbox is skipped unless forced, since it is unknown whether it
    took effect. One without a readable envelope is always skipped.
    """
    columns = dead_letters.c
    oldest = await inbox.oldest(tx)
    readable = columns.message_id.is_not(None)
    fresh = true() if force else columns.message_id >= oldest
    rows = (
        await tx.execute(
            select(dead_letters)
            .where(wanted.rule(), readable, fresh)
            .order_by(columns.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()
    old = [row.message_id for row in rows if row.message_id < oldest]
    if old:
        await tx.execute(REOPEN, {"ids": old})
    if rows:
        await tx.execute(insert(tables.outbox), [republished(each, service) for each in rows])
        await _delete(tx, rows)
        entries = [(_target(row), _state(row), {"queue": f"svc.{service}"}) for row in rows]
        await audit.record_all(tx, "dead_letter.redrive", reason, entries)
    left = await tx.execute(
        select(
            func.count(),
            func.count().filter(~readable),
            func.count().filter(and_(readable, columns.message_id < oldest)),
        ).where(wanted.rule())
    )
    remaining, unreadable, too_old = left.one()
    shards = {outbox.shard_of(row.subject) for row in rows}
    return Redriven(len(rows), shards, too_old, unreadable, remaining)


async def discard(tx: AsyncSession, wanted: Filter, *, limit: int, reason: str) -> int:
    """Delete at most `limit` of the selected dead letters, oldest first, and record them."""
    query = select(dead_letters).where(wanted.rule()).order_by(dead_letters.c.id).limit(limit)
    rows = (await tx.execute(query.with_for_update(skip_locked=True))).all()
    if rows:
        await _delete(tx, rows)
        entries = [(_target(row), _state(row), None) for row in rows]
        await audit.record_all(tx, "dead_letter.discard", reason, entries)
    return len(rows)


def republished(row: Any, service: str) -> dict[str, Any]:
    """The outbox row that returns a dead letter to its work queue, without its attempts."""
    headers = {name: value for name, value in row.headers.items() if name not in FAILURE}
    headers[incoming.SENDER] = row.sender
    headers[REDRIVEN] = int(row.headers.get(REDRIVEN, 0)) + 1
    return {
        "message_id": row.message_id,
        "shard": outbox.shard_of(row.subject),
        "subject": row.subject,
        "exchange": f"svc.{service}.retry",
        "routing_key": WORK_KEY,
        "headers": headers,
        "body": row.body,
    }


async def _delete(tx: AsyncSession, rows: Sequence[Any]) -> None:
    ids = [row.id for row in rows]
    await tx.execute(delete(dead_letters).where(dead_letters.c.id.in_(ids)))


def _target(row: Any) -> str:
    return str(row.message_id or row.id)


def _state(row: Any) -> dict[str, Any]:
    named = ("type", "subject", "sender", "error", "error_detail", "attempts", "trace_id", "size")
    return {name: getattr(row, name) for name in named}
