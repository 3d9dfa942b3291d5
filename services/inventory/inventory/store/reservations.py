"""What orders hold: claimed, locked and written back, many at once."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.inventory import Shortage
from inventory.domain.reservation import (
    AllocatedLine,
    HeldLine,
    Hold,
    Reservation,
    ReservationUnknown,
    State,
)

# A row is claimed before anything is decided, so that an order and its calling-off, arriving at two
# processes at once, wait for one another.
CLAIM = text(
    "insert into reservations (order_id, state, sequence) "
    "select unnest(cast(:order_ids as uuid[])), :state, 1 "
    "on conflict (order_id) do nothing returning order_id"
)
LOCK = text(
    "select order_id, state, rejection, shortages, sequence from reservations "
    "where order_id = any(cast(:order_ids as uuid[])) order by order_id for update"
)
LINES = text(
    "select order_id, line_id, warehouse_id, variant_id, seller_id, quantity, deducted "
    "from allocations where order_id = any(cast(:order_ids as uuid[])) "
    "order by order_id, line_id, warehouse_id"
)
KEEP = text(
    "update reservations r set state = n.state, rejection = n.rejection, "
    "shortages = cast(n.shortages as jsonb), sequence = n.sequence, updated_at = now() from unnest("
    "cast(:order_ids as uuid[]), cast(:states as text[]), cast(:rejections as text[]), "
    "cast(:shortages as text[]), cast(:sequences as bigint[])"
    ") as n (order_id, state, rejection, shortages, sequence) where r.order_id = n.order_id"
)
ALLOCATE = text(
    "insert into allocations "
    "(order_id, line_id, warehouse_id, variant_id, seller_id, quantity, deducted) "
    "select * from unnest("
    "cast(:order_ids as uuid[]), cast(:line_ids as uuid[]), cast(:warehouse_ids as uuid[]), "
    "cast(:variant_ids as uuid[]), cast(:seller_ids as uuid[]), cast(:quantities as bigint[]), "
    "cast(:deducted as bigint[]))"
)
DEDUCT = text(
    "update allocations a set deducted = n.deducted, updated_at = now() from unnest("
    "cast(:order_ids as uuid[]), cast(:line_ids as uuid[]), cast(:warehouse_ids as uuid[]), "
    "cast(:deducted as bigint[])) as n (order_id, line_id, warehouse_id, deducted) "
    "where a.order_id = n.order_id and a.line_id = n.line_id and a.warehouse_id = n.warehouse_id"
)
COMMIT_HOLDS = text(
    "with held as (select order_id from reservations "
    "where order_id = any(cast(:order_ids as uuid[])) and state = 'held' "
    "order by order_id for update) "
    "update reservations r set state = 'committed', updated_at = now() "
    "from held where r.order_id = held.order_id"
)
POSITIONS = text(
    "select r.order_id, r.state, r.updated_at, coalesce(sum(a.quantity - a.deducted), 0)::bigint "
    "as pieces from reservations r left join allocations a using (order_id) "
    "where r.state in ('held', 'committed') "
    "and (cast(:since as uuid) is null or r.order_id >= :since) "
    "and (cast(:after as uuid) is null or r.order_id > :after) "
    "group by r.order_id order by r.order_id limit :limit"
)
POSITION = text(
    "select r.order_id, r.state, r.updated_at, case when r.state in ('held', 'committed') "
    "then coalesce(sum(a.quantity - a.deducted), 0)::bigint else 0 end as pieces "
    "from reservations r left join allocations a using (order_id) "
    "where r.order_id = :order_id group by r.order_id"
)
FIRST_TIME = text(
    "insert into stock_operations (id, order_id) "
    "select * from unnest(cast(:ids as uuid[]), cast(:order_ids as uuid[])) "
    "on conflict (id) do nothing returning id"
)


async def claim_holds(
    tx: AsyncSession, order_ids: Collection[UUID], state: State
) -> tuple[dict[UUID, Hold], set[UUID]]:
    """Lock the reservation of each order; tells also which of them this call made in `state`."""
    wanted = sorted(set(order_ids))
    made = set((await tx.execute(CLAIM, {"order_ids": wanted, "state": state})).scalars())
    holds = {order_id: Hold(order_id, state, stored=(state, 1)) for order_id in made}
    holds |= await lock_holds(tx, [order_id for order_id in wanted if order_id not in made])
    return holds, made


async def lock_holds(tx: AsyncSession, order_ids: Collection[UUID]) -> dict[UUID, Hold]:
    """Take the orders' reservations until commit, with their lines; unknown orders are missing."""
    if not order_ids:
        return {}
    ids = {"order_ids": sorted(set(order_ids))}
    holds: dict[UUID, Hold] = {}
    for row in await tx.execute(LOCK, ids):
        shortages = [Shortage.model_validate(short) for short in row.shortages or ()]
        stored = (row.state, row.sequence)
        holds[row.order_id] = Hold(
            row.order_id, row.state, row.rejection, shortages, row.sequence, stored=stored
        )
    for row in await tx.execute(LINES, ids):
        holds[row.order_id].lines.append(HeldLine(*row[1:]))
    return holds


async def save_holds(tx: AsyncSession, holds: Collection[Hold]) -> None:
    """Write what became of the reservations."""
    stale = [hold for hold in holds if hold.is_stale]
    if stale:
        await tx.execute(
            KEEP,
            {
                "order_ids": [hold.order_id for hold in stale],
                "states": [hold.state for hold in stale],
                "rejections": [hold.rejection for hold in stale],
                "shortages": [_shortages(hold) for hold in stale],
                "sequences": [hold.sequence for hold in stale],
            },
        )
    lines = [(hold.order_id, line) for hold in holds for line in hold.lines]
    new = [(order_id, line) for order_id, line in lines if line.is_new]
    changed = [(order_id, line) for order_id, line in lines if line.is_changed and not line.is_new]
    if new:
        await tx.execute(ALLOCATE, _keys(new) | _rest(new))
    if changed:
        await tx.execute(DEDUCT, _keys(changed))


def _shortages(hold: Hold) -> str | None:
    if not hold.shortages:
        return None
    return json.dumps([short.model_dump(mode="json") for short in hold.shortages])


def _keys(lines: Sequence[tuple[UUID, HeldLine]]) -> dict[str, object]:
    return {
        "order_ids": [order_id for order_id, _ in lines],
        "line_ids": [line.line_id for _, line in lines],
        "warehouse_ids": [line.warehouse_id for _, line in lines],
        "deducted": [line.deducted for _, line in lines],
    }


def _rest(lines: Sequence[tuple[UUID, HeldLine]]) -> dict[str, object]:
    return {
        "variant_ids": [line.variant_id for _, line in lines],
        "seller_ids": [line.seller_id for _, line in lines],
        "quantities": [line.quantity for _, line in lines],
    }


async def commit_holds(tx: AsyncSession, order_ids: Collection[UUID]) -> None:
    """Let what confirmed orders hold be committed."""
    await tx.execute(COMMIT_HOLDS, {"order_ids": sorted(set(order_ids))})


async def first_time(tx: AsyncSession, operations: dict[UUID, UUID]) -> set[UUID]:
    """Of operations (with their orders), those that never had an effect before."""
    ids = sorted(operations)
    found = await tx.execute(
        FIRST_TIME, {"ids": ids, "order_ids": [operations[each] for each in ids]}
    )
    return set(found.scalars())


async def list_reservations(
    tx: AsyncSession,
    *,
    state: State | None,
    made_before: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Reservation]:
    """Reservations, oldest first."""
    query = select(Reservation).order_by(Reservation.created_at, Reservation.order_id).limit(limit)
    if state is not None:
        query = query.where(Reservation.state == state)
    if made_before is not None:
        query = query.where(Reservation.created_at < made_before)
    if after is not None:
        query = query.where(tuple_(Reservation.created_at, Reservation.order_id) > after)
    return (await tx.scalars(query)).all()


async def get_reservation(tx: AsyncSession, order_id: UUID) -> Reservation:
    """One order's reservation; raises ReservationUnknown."""
    found = await tx.get(Reservation, order_id)
    if found is None:
        raise ReservationUnknown
    return found


async def list_allocations(
    tx: AsyncSession, order_ids: Collection[UUID]
) -> dict[UUID, list[AllocatedLine]]:
    """Read the allocated lines of the orders."""
    query = (
        select(AllocatedLine)
        .where(AllocatedLine.order_id.in_(order_ids))
        .order_by(AllocatedLine.order_id, AllocatedLine.line_id, AllocatedLine.warehouse_id)
    )
    lines: dict[UUID, list[AllocatedLine]] = {}
    for line in await tx.scalars(query):
        lines.setdefault(line.order_id, []).append(line)
    return lines


async def list_live(
    tx: AsyncSession, *, since: UUID | None, after: UUID | None, limit: int
) -> Sequence[Any]:
    """What orders hold that has not left the warehouse, by rising order id, `limit + 1` rows."""
    wanted = {"since": since, "after": after, "limit": limit + 1}
    return (await tx.execute(POSITIONS, wanted)).all()


async def get_position(tx: AsyncSession, order_id: UUID) -> Any:
    """What one order holds; the reservation must exist."""
    return (await tx.execute(POSITION, {"order_id": order_id})).one()
