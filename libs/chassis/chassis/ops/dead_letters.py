"""Deciding about dead letters: list and group them, hand them in again, or discard them.

A letter is handed in again through the outbox, in the transaction that takes it off the list and
notes it in the audit trail. It goes through the service's own exchange into its one work queue, so
nobody else hears it twice, and it keeps its id, so the inbox still knows what had its effect.
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
    """Which dead letters are meant; None does not filter. `ids` are those of the list."""

    ids: Sequence[UUID] | None = None
    error: str | None = None
    type: str | None = None
    subject: str | None = None

    def rule(self) -> ColumnElement[bool]:
        """The condition to stand in the query."""
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
    """What a redrive did: how many went, the shards to wake, and what it left and why."""

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
    """How many letters died of which error, by type, the most first."""
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


async def get_dead_letter(tx: AsyncSession, letter_id: UUID) -> Any:
    """One dead letter, by its own id or its message's; raises DeadLetterUnknown."""
    columns = dead_letters.c
    query = select(dead_letters).where(
        or_(columns.id == letter_id, columns.message_id == letter_id)
    )
    found = (await tx.execute(query.order_by(columns.id.desc()).limit(1))).one_or_none()
    if found is None:
        raise DeadLetterUnknown
    return found


async def redrive(
    tx: AsyncSession, service: str, wanted: Filter, *, limit: int, force: bool, reason: str
) -> Redriven:
    """Hand in again, oldest first, at most `limit` of what is wanted.

    A letter whose id is older than the inbox is left unless forced: nobody could tell whether it
    had its effect. A letter without a readable envelope is always left.
    """
    columns = dead_letters.c
    oldest = await inbox.oldest(tx)
    readable = columns.message_id.is_not(None)
    fresh = true() if force else columns.message_id >= oldest
    letters = (
        await tx.execute(
            select(dead_letters)
            .where(wanted.rule(), readable, fresh)
            .order_by(columns.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()
    old = [letter.message_id for letter in letters if letter.message_id < oldest]
    if old:
        await tx.execute(REOPEN, {"ids": old})
    if letters:
        await tx.execute(insert(tables.outbox), [republished(each, service) for each in letters])
        await _forget(tx, letters)
        deeds = [
            (_target(letter), _state(letter), {"queue": f"svc.{service}"}) for letter in letters
        ]
        await audit.record_all(tx, "dead_letter.redrive", reason, deeds)
    left = await tx.execute(
        select(
            func.count(),
            func.count().filter(~readable),
            func.count().filter(and_(readable, columns.message_id < oldest)),
        ).where(wanted.rule())
    )
    remaining, unreadable, too_old = left.one()
    shards = {outbox.shard_of(letter.subject) for letter in letters}
    return Redriven(len(letters), shards, too_old, unreadable, remaining)


async def discard(tx: AsyncSession, wanted: Filter, *, limit: int, reason: str) -> int:
    """Give up, oldest first, at most `limit` of what is wanted; the audit trail keeps a note."""
    query = select(dead_letters).where(wanted.rule()).order_by(dead_letters.c.id).limit(limit)
    letters = (await tx.execute(query.with_for_update(skip_locked=True))).all()
    if letters:
        await _forget(tx, letters)
        deeds = [(_target(letter), _state(letter), None) for letter in letters]
        await audit.record_all(tx, "dead_letter.discard", reason, deeds)
    return len(letters)


def republished(letter: Any, service: str) -> dict[str, Any]:
    """The outbox row by which a letter reaches the one queue it came from, its attempts at zero."""
    headers = {name: value for name, value in letter.headers.items() if name not in FAILURE}
    headers[incoming.SENDER] = letter.sender
    headers[REDRIVEN] = int(letter.headers.get(REDRIVEN, 0)) + 1
    return {
        "message_id": letter.message_id,
        "shard": outbox.shard_of(letter.subject),
        "subject": letter.subject,
        "exchange": f"svc.{service}.retry",
        "routing_key": WORK_KEY,
        "headers": headers,
        "body": letter.body,
    }


async def _forget(tx: AsyncSession, letters: Sequence[Any]) -> None:
    ids = [letter.id for letter in letters]
    await tx.execute(delete(dead_letters).where(dead_letters.c.id.in_(ids)))


def _target(letter: Any) -> str:
    return str(letter.message_id or letter.id)


def _state(letter: Any) -> dict[str, Any]:
    named = ("type", "subject", "sender", "error", "error_detail", "attempts", "trace_id", "size")
    return {name: getattr(letter, name) for name in named}
