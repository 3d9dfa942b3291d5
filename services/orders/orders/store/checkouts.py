"""Locking checkouts and looking at them: the hot path, one statement for any number."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from orders.domain.checkout import Checkout
from orders.domain.order import (
    PaymentStatus,
    Stage,
    Status,
)

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
    "select order_id from checkout_sagas where deadline_at <= :now "
    "and order_id <> all(cast(:without as uuid[])) order by deadline_at limit :most"
)
_PROGRESS = text(
    "select o.status, o.payment_status, o.payment_id, o.payment_brand, o.payment_last_four, "
    "o.payment_reference, o.captured_amount, o.refunded_amount, o.cancellation_state, "
    "o.cancellation_reason, o.confirmed_at, o.cancelled_at, o.version, s.stage "
    "from orders o join checkout_sagas s on s.order_id = o.id where o.id = :id"
)


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


async def list_due(
    database: Database, now: datetime, without: Sequence[UUID], most: int
) -> Sequence[UUID]:
    """Orders whose deadline passed, the longest ago first."""
    found = await database.execute_once(_DUE, {"now": now, "without": without, "most": most})
    return found.scalars().all()


async def lock_due(tx: AsyncSession, ids: Sequence[UUID], now: datetime) -> list[Checkout]:
    """Lock those whose deadline still is past, leaving those that another process holds."""
    found = await tx.execute(_LOCK_DUE, {"ids": ids, "now": now})
    return [_checkout(row) for row in found.mappings()]


async def get_progress(database: Database, order_id: UUID) -> RowMapping:
    """What moves in an order while it checks out: all a waiting request must look at."""
    return (await database.execute_once(_PROGRESS, {"id": order_id})).mappings().one()


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
