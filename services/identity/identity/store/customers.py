"""Queries over customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Changed, NotFound
from identity.domain.address import Address
from identity.domain.customer import Customer
from identity.domain.user import User


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which customers a list shows; None asks nothing."""

    email: str | None = None
    status: str | None = None
    user_id: UUID | None = None
    has_login: bool | None = None


async def get_customer_of(tx: AsyncSession, user_id: UUID) -> Customer:
    """Read the customer that a user is; raises NotFound."""
    return _there(await tx.scalar(select(Customer).where(Customer.user_id == user_id)))


async def list_customers_of(tx: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Read the ids of the customers that several users are."""
    rows = await tx.execute(
        select(Customer.user_id, Customer.id).where(Customer.user_id.in_(user_ids))
    )
    return {user_id: customer_id for user_id, customer_id in rows if user_id is not None}


async def lock_customer_of(tx: AsyncSession, user_id: UUID) -> Customer:
    """Take the row of the customer that a user is until commit; raises NotFound."""
    query = select(Customer).where(Customer.user_id == user_id).with_for_update()
    return _there(await tx.scalar(query))


async def lock_unclaimed_customer(tx: AsyncSession, email: str) -> Customer | None:
    """Take the row of the customer without a login who has this e-mail address."""
    found: Customer | None = await tx.scalar(
        select(Customer)
        .where(Customer.email == email, Customer.user_id.is_(None), Customer.merged_into.is_(None))
        .with_for_update()
    )
    return found


async def get_customer(tx: AsyncSession, customer_id: UUID) -> Customer:
    """Read a customer; raises NotFound."""
    return _there(await tx.scalar(select(Customer).where(Customer.id == customer_id)))


async def lock_customer(tx: AsyncSession, customer_id: UUID) -> Customer:
    """Take a customer's row until commit; raises NotFound."""
    query = select(Customer).where(Customer.id == customer_id).with_for_update()
    return _there(await tx.scalar(query))


async def lock_customer_and_user(tx: AsyncSession, customer_id: UUID) -> Customer:
    """Lock a customer after their user, as logins do; raises NotFound.

    A session that begins meanwhile waits for the lock and then sees the customer's new status.
    """
    of_customer = select(Customer.user_id).where(Customer.id == customer_id).scalar_subquery()
    user_id = await tx.scalar(select(User.id).where(User.id == of_customer).with_for_update())
    customer = await lock_customer(tx, customer_id)
    if customer.user_id != user_id:
        # A user claimed or left the customer between the two locks.
        raise Changed
    return customer


def _there(customer: Customer | None) -> Customer:
    if customer is None:
        raise NotFound
    return customer


async def list_customers(
    tx: AsyncSession, wanted: Wanted, *, after: UUID | None, limit: int
) -> Sequence[Customer]:
    """Read customers, the newest first, one more than `limit` where there is more."""
    query = select(Customer).order_by(Customer.id.desc()).limit(limit + 1)
    if wanted.email is not None:
        query = query.where(Customer.email == wanted.email)
    if wanted.status is not None:
        query = query.where(Customer.status == wanted.status)
    if wanted.user_id is not None:
        query = query.where(Customer.user_id == wanted.user_id)
    if wanted.has_login is not None:
        query = query.where(Customer.user_id.is_not(None) == wanted.has_login)
    if after is not None:
        query = query.where(Customer.id < after)
    return (await tx.scalars(query)).all()


async def move_addresses(tx: AsyncSession, source: UUID, target: UUID) -> None:
    """Hand a customer's addresses to another; defaults of the one that receives them hold."""
    await tx.execute(
        update(Address)
        .where(Address.customer_id == source)
        .values(customer_id=target, is_default=False, version=Address.version + 1)
    )
