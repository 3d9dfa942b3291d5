"""Payment methods offered and saved; a saved one is always looked up with its owner."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import any_, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.driver import Sql
from chassis.errors import NotFound
from contracts.orders import PaymentMethod
from payments.domain.payment_method import (
    PaymentInstrument,
    PaymentMethodOffer,
    SavedPaymentMethod,
)

INSTRUMENT: Final = Sql(
    "select m.enabled, s.provider_token, s.type, s.expires_at from payment_methods m "
    "left join saved_payment_methods s on s.id = :saved_id and s.customer_id = :customer_id "
    "and s.deleted_at is null where m.code = :method"
)
LOCK_OWNER: Final = Sql("select pg_advisory_xact_lock(hashtextextended(cast(:owner as text), 0))")

REASSIGN: Final = Sql(
    "update saved_payment_methods s set customer_id = :after, updated_at = now(), "
    "is_default = s.is_default and not exists (select 1 from saved_payment_methods o "
    "where o.customer_id = :after and o.is_default and o.deleted_at is null) "
    "where s.customer_id = :before"
)


async def get_instrument(
    tx: AsyncSession, method: PaymentMethod, saved_id: UUID | None, customer_id: UUID | None
) -> PaymentInstrument:
    """Whether a method is offered, and the customer's own saved one where `saved_id` names it."""
    values = {"method": method, "saved_id": saved_id, "customer_id": customer_id}
    row = await driver.fetchrow(tx, INSTRUMENT, values)
    return PaymentInstrument(*(row or (False, None, None, None)))


async def list_offers(tx: AsyncSession, country: str | None) -> Sequence[PaymentMethodOffer]:
    """The methods offered, in one country if given."""
    query = select(PaymentMethodOffer).where(PaymentMethodOffer.enabled)
    if country is not None:
        countries = PaymentMethodOffer.countries
        served = literal(country) == any_(countries)
        query = query.where(or_(func.cardinality(countries) == 0, served))
    return (await tx.scalars(query.order_by(PaymentMethodOffer.display_order))).all()


async def list_saved(tx: AsyncSession, customer_id: UUID) -> Sequence[SavedPaymentMethod]:
    """A customer's methods, the default first."""
    query = (
        select(SavedPaymentMethod)
        .where(
            SavedPaymentMethod.customer_id == customer_id, SavedPaymentMethod.deleted_at.is_(None)
        )
        .order_by(SavedPaymentMethod.is_default.desc(), SavedPaymentMethod.id)
    )
    return (await tx.scalars(query)).all()


async def lock_owner(tx: AsyncSession, customer_id: UUID) -> None:
    """Serialize changes of one customer's methods, even before the first row exists."""
    await driver.execute(tx, LOCK_OWNER, {"owner": str(customer_id)})


async def lock_saved(tx: AsyncSession, saved_id: UUID, customer_id: UUID) -> SavedPaymentMethod:
    """One of the customer's methods, locked; raises NotFound."""
    query = select(SavedPaymentMethod).where(
        SavedPaymentMethod.id == saved_id,
        SavedPaymentMethod.customer_id == customer_id,
        SavedPaymentMethod.deleted_at.is_(None),
    )
    found = (await tx.scalars(query.with_for_update())).one_or_none()
    if found is None:
        raise NotFound
    return found


async def clear_default(tx: AsyncSession, customer_id: UUID) -> None:
    """Clear the customer's default method."""
    statement = update(SavedPaymentMethod).where(
        SavedPaymentMethod.customer_id == customer_id, SavedPaymentMethod.is_default
    )
    await tx.execute(statement.values(is_default=False))


async def delete_all_saved(tx: AsyncSession, customer_id: UUID) -> None:
    """Delete a customer's methods; the sweep deletes them at the provider."""
    await lock_owner(tx, customer_id)
    statement = update(SavedPaymentMethod).where(
        SavedPaymentMethod.customer_id == customer_id, SavedPaymentMethod.deleted_at.is_(None)
    )
    await tx.execute(statement.values(is_default=False, deleted_at=func.now()))


async def reassign_saved(tx: AsyncSession, before: UUID, after: UUID) -> None:
    """Move one customer's methods to another, whose default stays."""
    for customer_id in sorted((before, after)):
        await lock_owner(tx, customer_id)
    await driver.execute(tx, REASSIGN, {"before": before, "after": after})


async def list_deleted(
    tx: AsyncSession, excluded: Collection[UUID], most: int
) -> Sequence[SavedPaymentMethod]:
    """Deleted methods that their provider may still store, the longest deleted first."""
    query = select(SavedPaymentMethod).where(
        SavedPaymentMethod.deleted_at.is_not(None), SavedPaymentMethod.id.not_in(excluded)
    )
    return (await tx.scalars(query.order_by(SavedPaymentMethod.deleted_at).limit(most))).all()


async def purge_saved(tx: AsyncSession, saved_id: UUID) -> None:
    """Remove the row of a method that the provider has deleted."""
    await tx.execute(delete(SavedPaymentMethod).where(SavedPaymentMethod.id == saved_id))
