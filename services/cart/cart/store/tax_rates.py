"""Queries on tax rates, and the cached table of all of them."""

import time
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.pricing import TaxRate, TaxTable
from chassis import driver
from chassis.driver import Sql
from chassis.errors import NotFound

# Changes of one country's rates run one after another: its custom is the same on all of them.
LOCK_COUNTRY = Sql("select pg_advisory_xact_lock(hashtext('tax rates'), hashtext(:country))")


class TaxTableCache:
    """The tax table, read again when it is older than `max_age` seconds."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._table: TaxTable | None = None
        self._expires_at = 0.0

    async def get(self, tx: AsyncSession) -> TaxTable:
        """The table from memory, or from the database."""
        if self._table is None or self._expires_at <= time.monotonic():
            self._table = TaxTable((await tx.scalars(select(TaxRate))).all())
            self._expires_at = time.monotonic() + self._max_age
        return self._table

    def clear(self) -> None:
        """Read the table again at the next use: it was just changed."""
        self._table = None


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
    """One rate; raises NotFound."""
    found = await tx.get(TaxRate, rate_id)
    if found is None:
        raise NotFound
    return found


async def lock_tax_rate(tx: AsyncSession, rate_id: UUID) -> TaxRate:
    """One rate, locked until commit together with its country; raises NotFound."""
    country = (await get_tax_rate(tx, rate_id)).country
    await lock_country(tx, country)
    found = await tx.get(TaxRate, rate_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    return found


async def lock_country(tx: AsyncSession, country: str) -> None:
    """Make other changes of this country's rates wait until commit."""
    await driver.execute(tx, LOCK_COUNTRY, {"country": country})


async def set_custom(tx: AsyncSession, rate: TaxRate) -> None:
    """Give all rates of a country the custom of this one; the country must be locked."""
    await tx.execute(
        update(TaxRate)
        .where(
            TaxRate.country == rate.country,
            TaxRate.prices_include_tax != rate.prices_include_tax,
        )
        .values(prices_include_tax=rate.prices_include_tax, version=TaxRate.version + 1)
        .execution_options(synchronize_session=False)
    )
