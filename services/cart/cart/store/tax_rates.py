"""Queries on tax rates."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.tax import TaxRate
from chassis.errors import NotFound

# All changes of one country's rates wait for each other: its custom is the same on all of them.
ONE_COUNTRY = text("select pg_advisory_xact_lock(hashtext('tax rates'), hashtext(:country))")


async def list_all(tx: AsyncSession) -> Sequence[TaxRate]:
    """Every rate."""
    return (await tx.scalars(select(TaxRate))).all()


async def list_tax_rates(
    tx: AsyncSession, country: str | None, after: UUID | None, limit: int
) -> Sequence[TaxRate]:
    """Rates by id, one more than `limit`."""
    query = select(TaxRate).order_by(TaxRate.id).limit(limit + 1)
    if country is not None:
        query = query.where(TaxRate.country == country)
    if after is not None:
        query = query.where(TaxRate.id > after)
    return (await tx.scalars(query)).all()


async def get_tax_rate(tx: AsyncSession, rate_id: UUID) -> TaxRate:
    """One rate."""
    found = await tx.get(TaxRate, rate_id)
    if found is None:
        raise NotFound
    return found


async def lock_tax_rate(tx: AsyncSession, rate_id: UUID) -> TaxRate:
    """One rate, taken until commit together with its country."""
    country = (await get_tax_rate(tx, rate_id)).country
    await lock_country(tx, country)
    found = await tx.get(TaxRate, rate_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    return found


async def lock_country(tx: AsyncSession, country: str) -> None:
    """Keep other changes of this country's rates waiting until commit."""
    await tx.execute(ONE_COUNTRY, {"country": country})


async def set_custom(tx: AsyncSession, rate: TaxRate) -> None:
    """Give all rates of a country the custom of this one; the country must be held."""
    await tx.execute(
        update(TaxRate)
        .where(
            TaxRate.country == rate.country,
            TaxRate.prices_include_tax != rate.prices_include_tax,
        )
        .values(prices_include_tax=rate.prices_include_tax, version=TaxRate.version + 1)
        .execution_options(synchronize_session=False)
    )
