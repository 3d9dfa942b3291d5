"""Reading payments: by their owner, or by staff with filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from payments.domain.attempt import PaymentAttempt
from payments.domain.payment import Payment

MOST_OF_ORDER = 100
_POSITIONS = select(
    Payment.id.label("payment_id"),
    Payment.order_id,
    Payment.status,
    Payment.method,
    Payment.currency,
    Payment.amount,
    Payment.captured_amount,
    Payment.refunded_amount,
    Payment.refunding_amount,
    Payment.updated_at,
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: a customer, a guest by the hash of the order's token, or staff who see all."""

    customer_id: UUID | None
    access_hash: str | None
    sees_all: bool = False

    def may_see(self) -> ColumnElement[bool]:
        """The owner predicate, to stand inside the query."""
        if self.sees_all:
            return true()
        own: list[ColumnElement[bool]] = [false()]
        if self.customer_id is not None:
            own.append(Payment.customer_id == self.customer_id)
        if self.access_hash is not None:
            own.append(Payment.access_hash == self.access_hash)
        return or_(*own)


@dataclass(frozen=True, slots=True)
class Filter:
    """What staff look for; None does not filter."""

    order_id: UUID | None = None
    customer_id: UUID | None = None
    status: str | None = None
    method: str | None = None
    needs_review: bool | None = None

    def apply(self, query: Select[Any]) -> Select[Any]:
        """The query with the conditions."""
        for name in ("order_id", "customer_id", "status", "method"):
            wanted = getattr(self, name)
            if wanted is not None:
                query = query.where(getattr(Payment, name) == wanted)
        if self.needs_review is not None:
            flagged = Payment.review_reason.is_not(None)
            query = query.where(flagged if self.needs_review else ~flagged)
        return query


async def get_payment(tx: AsyncSession, payment_id: UUID, reader: Reader) -> Payment:
    """One payment the reader may see; raises NotFound."""
    query = select(Payment).where(Payment.id == payment_id, reader.may_see())
    found = (await tx.scalars(query)).one_or_none()
    if found is None:
        raise NotFound
    return found


async def list_of_order(tx: AsyncSession, order_id: UUID, reader: Reader) -> Sequence[Payment]:
    """The payments of an order the reader may see, newest first."""
    query = select(Payment).where(Payment.order_id == order_id, reader.may_see())
    return (await tx.scalars(query.order_by(Payment.id.desc()).limit(MOST_OF_ORDER))).all()


async def list_payments(
    tx: AsyncSession, wanted: Filter, before: UUID | None, limit: int
) -> Sequence[Payment]:
    """Payments for staff, newest first."""
    query = wanted.apply(select(Payment)).order_by(Payment.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Payment.id < before)
    return (await tx.scalars(query)).all()


async def list_attempts(tx: AsyncSession, payment_id: UUID) -> Sequence[PaymentAttempt]:
    """What was asked of the provider, oldest first."""
    query = select(PaymentAttempt).where(PaymentAttempt.payment_id == payment_id)
    return (await tx.scalars(query.order_by(PaymentAttempt.created_at))).all()


async def list_positions(
    tx: AsyncSession, *, since: UUID | None, after: tuple[UUID, UUID] | None, limit: int
) -> Sequence[Any]:
    """Payments' money by rising order and payment id, `limit + 1` rows."""
    query = _POSITIONS.order_by(Payment.order_id, Payment.id).limit(limit + 1)
    if since is not None:
        query = query.where(Payment.order_id >= since)
    if after is not None:
        query = query.where(tuple_(Payment.order_id, Payment.id) > after)
    return (await tx.execute(query)).all()


async def get_position(tx: AsyncSession, payment_id: UUID) -> Any:
    """One payment's money; raises NotFound."""
    found = (await tx.execute(_POSITIONS.where(Payment.id == payment_id))).one_or_none()
    if found is None:
        raise NotFound
    return found
