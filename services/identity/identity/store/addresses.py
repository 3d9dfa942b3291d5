"""Queries over a customer's addresses."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from identity.domain.address import Address


def _kept_by(customer_id: UUID) -> Select[Address]:
    return select(Address).where(Address.customer_id == customer_id, Address.deleted_at.is_(None))


async def get_address(tx: AsyncSession, customer_id: UUID, address_id: UUID) -> Address:
    """Read one address of a customer; raises NotFound, for those of others too."""
    return _there(await tx.scalar(_kept_by(customer_id).where(Address.id == address_id)))


async def lock_address(tx: AsyncSession, customer_id: UUID, address_id: UUID) -> Address:
    """Take one address of a customer until commit; raises NotFound, for those of others too."""
    query = _kept_by(customer_id).where(Address.id == address_id).with_for_update()
    return _there(await tx.scalar(query))


def _there(address: Address | None) -> Address:
    if address is None:
        raise NotFound
    return address


async def list_addresses(
    tx: AsyncSession, customer_id: UUID, *, kind: str | None, after: UUID | None, limit: int
) -> Sequence[Address]:
    """Read a customer's addresses, the oldest first; `kind` is billing or shipping."""
    query = _kept_by(customer_id).order_by(Address.id).limit(limit + 1)
    if kind is not None:
        query = query.where(Address.type == kind)
    if after is not None:
        query = query.where(Address.id > after)
    return (await tx.scalars(query)).all()


async def count_addresses(tx: AsyncSession, customer_id: UUID) -> dict[str, int]:
    """Count a customer's addresses by type."""
    rows = await tx.execute(
        select(Address.type, func.count())
        .where(Address.customer_id == customer_id, Address.deleted_at.is_(None))
        .group_by(Address.type)
    )
    return {kind: count for kind, count in rows}  # noqa: C416


async def drop_default(tx: AsyncSession, customer_id: UUID, kind: str, *, besides: UUID) -> None:
    """Let the default of a type be one no longer, to make room for another."""
    await tx.execute(
        update(Address)
        .where(
            Address.customer_id == customer_id,
            Address.type == kind,
            Address.is_default,
            Address.id != besides,
        )
        .values(is_default=False, version=Address.version + 1)
    )


async def delete_addresses(tx: AsyncSession, customer_id: UUID) -> None:
    """Delete every address of a customer, the deleted ones that history showed included."""
    await tx.execute(delete(Address).where(Address.customer_id == customer_id))
