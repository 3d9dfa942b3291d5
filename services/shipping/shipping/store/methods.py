"""Queries on providers and methods."""

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from shipping.domain import ShippingMethod, ShippingProvider, Tariff

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Offer:
    """A method that can be used now; no mapped object, for it is read at each checkout."""

    id: UUID
    name: str
    provider: str
    currency: str
    estimated_days: int
    tariff: Tariff


async def list_offers(tx: AsyncSession, currency: str) -> list[Offer]:
    """Every active method of an active provider with prices in the currency."""
    rows = await tx.execute(
        select(
            ShippingMethod.id,
            ShippingMethod.name,
            ShippingProvider.code,
            ShippingMethod.estimated_days,
            ShippingMethod.zones,
            ShippingMethod.priced_by,
            ShippingMethod.tiers,
            ShippingMethod.free_over_amount,
        )
        .join(ShippingProvider, ShippingProvider.id == ShippingMethod.provider_id)
        .where(
            ShippingMethod.currency == currency,
            ShippingMethod.is_active,
            ShippingProvider.status == "active",
        )
    )
    return [
        Offer(
            row.id,
            row.name,
            row.code,
            currency,
            row.estimated_days,
            Tariff(row.zones, row.priced_by, row.tiers, row.free_over_amount),
        )
        for row in rows
    ]


async def list_providers(
    tx: AsyncSession, limit: int, after: UUID | None
) -> list[ShippingProvider]:
    """List providers in the order they were made."""
    query = select(ShippingProvider).order_by(ShippingProvider.id).limit(limit)
    if after is not None:
        query = query.where(ShippingProvider.id > after)
    return list(await tx.scalars(query))


async def get_provider(tx: AsyncSession, provider_id: UUID) -> ShippingProvider:
    """One provider."""
    return _found(await tx.get(ShippingProvider, provider_id))


async def lock_provider(tx: AsyncSession, provider_id: UUID) -> ShippingProvider:
    """One provider, until commit."""
    return _found(await tx.get(ShippingProvider, provider_id, with_for_update=True))


async def get_provider_by_code(tx: AsyncSession, code: str) -> ShippingProvider:
    """Find the provider with a code."""
    return _found(await tx.scalar(select(ShippingProvider).where(ShippingProvider.code == code)))


async def list_methods(tx: AsyncSession, limit: int, after: UUID | None) -> list[ShippingMethod]:
    """Methods in the order they were made, retired ones too."""
    query = select(ShippingMethod).order_by(ShippingMethod.id).limit(limit)
    if after is not None:
        query = query.where(ShippingMethod.id > after)
    return list(await tx.scalars(query))


async def get_method(tx: AsyncSession, method_id: UUID) -> ShippingMethod:
    """One method."""
    return _found(await tx.get(ShippingMethod, method_id))


async def lock_method(tx: AsyncSession, method_id: UUID) -> ShippingMethod:
    """One method, until commit."""
    return _found(await tx.get(ShippingMethod, method_id, with_for_update=True))


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row
