"""What owners, staff, reconciliation and metrics read of payments; no row is locked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.driver import Sql
from chassis.errors import NotFound
from chassis.gauges import DatabaseGauge
from payments.domain.payment import Payment
from payments.domain.refund import Refund
from payments.domain.tables import payment_attempts

MAX_PER_ORDER: Final = 100
POSITIONS: Final = select(
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
    """A customer, a guest by the hash of the order's token, or staff who see all payments."""

    customer_id: UUID | None
    access_hash: str | None
    sees_all: bool = False

    def may_see(self) -> ColumnElement[bool]:
        """The owner predicate of a query."""
        if self.sees_all:
            return true()
        own: list[ColumnElement[bool]] = [false()]
        if self.customer_id is not None:
            own.append(Payment.customer_id == self.customer_id)
        if self.access_hash is not None:
            own.append(Payment.access_hash == self.access_hash)
        return or_(*own)


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Conditions of staff; None does not filter."""

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


async def list_order_payments(
    tx: AsyncSession, order_id: UUID, reader: Reader
) -> Sequence[Payment]:
    """The payments of an order the reader may see, newest first."""
    query = select(Payment).where(Payment.order_id == order_id, reader.may_see())
    return (await tx.scalars(query.order_by(Payment.id.desc()).limit(MAX_PER_ORDER))).all()


async def list_payments(
    tx: AsyncSession, wanted: PaymentFilter, before: UUID | None, limit: int
) -> Sequence[Payment]:
    """Payments for staff, newest first."""
    query = wanted.apply(select(Payment)).order_by(Payment.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Payment.id < before)
    return (await tx.scalars(query)).all()


async def list_attempts(tx: AsyncSession, payment_id: UUID) -> Sequence[Any]:
    """The rows of a payment's calls to its provider, oldest first."""
    columns = payment_attempts.c
    query = select(payment_attempts).where(columns.payment_id == payment_id)
    return (await tx.execute(query.order_by(columns.created_at))).all()


async def list_refunds(tx: AsyncSession, payment_id: UUID) -> Sequence[Refund]:
    """All refunds of a payment, oldest first."""
    query = select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.id)
    return (await tx.scalars(query)).all()


async def list_positions(
    tx: AsyncSession, *, since: UUID | None, after: tuple[UUID, UUID] | None, limit: int
) -> Sequence[Any]:
    """The amounts of payments by rising order and payment id, `limit + 1` rows."""
    query = POSITIONS.order_by(Payment.order_id, Payment.id).limit(limit + 1)
    if since is not None:
        query = query.where(Payment.order_id >= since)
    if after is not None:
        query = query.where(tuple_(Payment.order_id, Payment.id) > after)
    return (await tx.execute(query)).all()


async def get_position(tx: AsyncSession, payment_id: UUID) -> Any:
    """The amounts of one payment; raises NotFound."""
    found = (await tx.execute(POSITIONS.where(Payment.id == payment_id))).one_or_none()
    if found is None:
        raise NotFound
    return found


GAUGES: Final = (
    DatabaseGauge(
        "cartwright_payments",
        "Payments that are not settled, by status.",
        Sql(
            "select status, count(id) as value "
            "from (values ('initiated'), ('action_required'), ('authorized')) s (status) "
            "left join payments using (status) group by status"
        ),
        ("status",),
        every=15,
    ),
    DatabaseGauge(
        "cartwright_payments_in_review",
        "Payments that only staff can decide about.",
        Sql("select count(*) as value from payments where review_reason is not null"),
        every=15,
    ),
    DatabaseGauge(
        "cartwright_payment_oldest_seconds",
        "Age of the oldest payment that is not settled, by status.",
        Sql(
            "select status, coalesce(extract(epoch from now() - min(created_at)), 0) as value "
            "from (values ('initiated'), ('action_required'), ('authorized')) s (status) "
            "left join payments using (status) group by status"
        ),
        ("status",),
        every=15,
    ),
)
