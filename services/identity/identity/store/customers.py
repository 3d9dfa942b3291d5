"""Queries on customers and their addresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Changed
from identity.domain.address import Address
from identity.domain.customer import Customer
from identity.domain.user import User
from identity.store import require


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """The customers that a list shows; None matches every customer."""

    email: str | None = None
    status: str | None = None
    user_id: UUID | None = None
    has_login: bool | None = None


async def get_customer_of_user(tx: AsyncSession, user_id: UUID) -> Customer:
    """The customer of a user; raises NotFound."""
    return require(await tx.scalar(select(Customer).where(Customer.user_id == user_id)))


async def list_customer_ids(tx: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The customer ids of several users, by user."""
    rows = await tx.execute(
        select(Customer.user_id, Customer.id).where(Customer.user_id.in_(user_ids))
    )
    return {user_id: customer_id for user_id, customer_id in rows if user_id is not None}


async def lock_customer_of_user(tx: AsyncSession, user_id: UUID) -> Customer:
    """Lock the customer of a user; raises NotFound."""
    query = select(Customer).where(Customer.user_id == user_id).with_for_update()
    return require(await tx.scalar(query))


async def lock_unclaimed_customer(tx: AsyncSession, email: str) -> Customer | None:
    """Lock the customer with this e-mail address whom no user has claimed."""
    found: Customer | None = await tx.scalar(
        select(Customer)
        .where(Customer.email == email, Customer.user_id.is_(None), Customer.merged_into.is_(None))
        .with_for_update()
    )
    return found


async def get_customer(tx: AsyncSession, customer_id: UUID) -> Customer:
    """The customer; raises NotFound."""
    return require(await tx.scalar(select(Customer).where(Customer.id == customer_id)))


async def lock_customer(tx: AsyncSession, customer_id: UUID) -> Customer:
    """Lock the customer; raises NotFound."""
    query = select(Customer).where(Customer.id == customer_id).with_for_update()
    return require(await tx.scalar(query))


async def lock_customer_and_user(tx: AsyncSession, customer_id: UUID) -> Customer:
    """Lock the user and then the customer, in the order of logins; raises NotFound.

    A concurrent login waits for the lock and then reads the customer's new status.
    """
    of_customer = select(Customer.user_id).where(Customer.id == customer_id).scalar_subquery()
    user_id = await tx.scalar(select(User.id).where(User.id == of_customer).with_for_update())
    customer = await lock_customer(tx, customer_id)
    if customer.user_id != user_id:
        # A user claimed or left the customer between the two locks.
        raise Changed
    return customer


async def list_customers(
    tx: AsyncSession, filters: CustomerFilter, *, after: UUID | None, limit: int
) -> Sequence[Customer]:
    """Customers, the newest first, up to `limit` + 1."""
    query = select(Customer).order_by(Customer.id.desc()).limit(limit + 1)
    if filters.email is not None:
        query = query.where(Customer.email == filters.email)
    if filters.status is not None:
        query = query.where(Customer.status == filters.status)
    if filters.user_id is not None:
        query = query.where(Customer.user_id == filters.user_id)
    if filters.has_login is not None:
        query = query.where(Customer.user_id.is_not(None) == filters.has_login)
    if after is not None:
        query = query.where(Customer.id < after)
    return (await tx.scalars(query)).all()


async def move_addresses(tx: AsyncSession, source: UUID, target: UUID) -> None:
    """Move a customer's addresses to another, whose default addresses stay the defaults."""
    await tx.execute(
        update(Address)
        .where(Address.customer_id == source)
        .values(customer_id=target, is_default=False, version=Address.version + 1)
    )


def _of_customer(customer_id: UUID) -> Select[Address]:
    return select(Address).where(Address.customer_id == customer_id, Address.deleted_at.is_(None))


async def get_address(tx: AsyncSession, customer_id: UUID, address_id: UUID) -> Address:
    """One address of a customer; raises NotFound, also for an address of another."""
    return require(await tx.scalar(_of_customer(customer_id).where(Address.id == address_id)))


async def lock_address(tx: AsyncSession, customer_id: UUID, address_id: UUID) -> Address:
    """Lock one address of a customer; raises NotFound, also for an address of another."""
    query = _of_customer(customer_id).where(Address.id == address_id).with_for_update()
    return require(await tx.scalar(query))


async def list_addresses(
    tx: AsyncSession, customer_id: UUID, *, kind: str | None, after: UUID | None, limit: int
) -> Sequence[Address]:
    """A customer's addresses, the oldest first, up to `limit` + 1; `kind` is an address type."""
    query = _of_customer(customer_id).order_by(Address.id).limit(limit + 1)
    if kind is not None:
        query = query.where(Address.type == kind)
    if after is not None:
        query = query.where(Address.id > after)
    return (await tx.scalars(query)).all()


async def count_addresses(tx: AsyncSession, customer_id: UUID) -> dict[str, int]:
    """The numbers of a customer's addresses, by type."""
    rows = await tx.execute(
        select(Address.type, func.count())
        .where(Address.customer_id == customer_id, Address.deleted_at.is_(None))
        .group_by(Address.type)
    )
    return {kind: count for kind, count in rows}  # noqa: C416


async def clear_default(tx: AsyncSession, customer_id: UUID, kind: str, *, except_id: UUID) -> None:
    """Unset the default address of a type, unless it is `except_id`."""
    await tx.execute(
        update(Address)
        .where(
            Address.customer_id == customer_id,
            Address.type == kind,
            Address.is_default,
            Address.id != except_id,
        )
        .values(is_default=False, version=Address.version + 1)
    )


async def delete_addresses(tx: AsyncSession, customer_id: UUID) -> None:
    """Delete every address of a customer for good, softly deleted ones included."""
    await tx.execute(delete(Address).where(Address.customer_id == customer_id))
