"""Routes on tax rates, for staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from cart.api.carts import DatabaseDep, TaxTablesDep
from cart.domain.pricing import TaxRate, TaxRateExists
from cart.store import tax_rates
from chassis import etag
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Id, SafeText, View

router = APIRouter(
    prefix="/v1/admin/tax-rates",
    dependencies=[Depends(require_permission("tax:write"))],
)

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class TaxRateChange(Body):
    """A rate in basis points: 1900 is 19 %.

    `prices_include_tax` is one custom per country: it is set on all its rates.
    """

    rate_bps: Annotated[int, Field(ge=0, le=10_000)]
    prices_include_tax: bool


class TaxRateBody(TaxRateChange):
    """The whole rate of a place for a category.

    Without `state` it holds in the whole country, without `category_id` for everything.
    """

    country: Country
    state: Annotated[SafeText, Field(max_length=100)] = ""
    category_id: Id | None = None


class TaxRateView(View):
    """A tax rate."""

    id: UUID
    country: str
    state: str
    category_id: UUID | None
    rate_bps: int
    prices_include_tax: bool
    version: int


def _state(rate: TaxRate) -> audit.State:
    """What the audit trail shows of a rate."""
    return TaxRateView.model_validate(rate).model_dump(mode="json", exclude={"id", "version"})


@router.get("")
async def list_tax_rates(
    paging: Paged, tx: Tx, country: Annotated[Country | None, Query()] = None
) -> Page[TaxRateView]:
    """All rates, or those of one country."""
    rows = await tax_rates.list_tax_rates(tx, country, paging.position(UUID), paging.limit)
    return paging.page(rows, TaxRateView.model_validate, lambda rate: rate.id)


@router.post("", status_code=201)
@refuses(TaxRateExists)
async def create_tax_rate(
    body: TaxRateBody, response: Response, database: DatabaseDep, tax_tables: TaxTablesDep
) -> TaxRateView:
    """Add a rate; 409 when its place and category have one."""
    rate = TaxRate(id=new_id(), **body.model_dump())
    async with database.transaction() as tx:
        await tax_rates.lock_country(tx, body.country)
        tx.add(rate)
        with violations_as(uq_tax_rates_place_category=TaxRateExists):
            await tx.flush()
        await tax_rates.set_custom(tx, rate)
        await audit.record(tx, "tax_rate.create", rate.id, "by hand", after=_state(rate))
    tax_tables.clear()
    etag.set_header(response, rate.version)
    return TaxRateView.model_validate(rate)


@router.get("/{rate_id}")
@refuses(NotFound)
async def get_tax_rate(rate_id: UUID, response: Response, tx: Tx) -> TaxRateView:
    """One rate."""
    rate = await tax_rates.get_tax_rate(tx, rate_id)
    etag.set_header(response, rate.version)
    return TaxRateView.model_validate(rate)


@router.put("/{rate_id}")
@refuses(NotFound)
async def change_tax_rate(
    rate_id: UUID,
    body: TaxRateChange,
    *,
    expected: etag.IfMatch,
    response: Response,
    database: DatabaseDep,
    tax_tables: TaxTablesDep,
) -> TaxRateView:
    """Change a rate; its place and category stay what they are."""
    async with database.transaction() as tx:
        rate = await tax_rates.lock_tax_rate(tx, rate_id)
        etag.check(rate.version, expected)
        before = _state(rate)
        rate.change(body.rate_bps, prices_include_tax=body.prices_include_tax)
        await tx.flush()
        await tax_rates.set_custom(tx, rate)
        after = _state(rate)
        await audit.record(tx, "tax_rate.change", rate.id, "by hand", before=before, after=after)
    tax_tables.clear()
    etag.set_header(response, rate.version)
    return TaxRateView.model_validate(rate)


@router.delete("/{rate_id}", status_code=204)
@refuses(NotFound)
async def delete_tax_rate(
    rate_id: UUID, expected: etag.IfMatch, database: DatabaseDep, tax_tables: TaxTablesDep
) -> None:
    """Remove a rate."""
    async with database.transaction() as tx:
        rate = await tax_rates.lock_tax_rate(tx, rate_id)
        etag.check(rate.version, expected)
        await audit.record(tx, "tax_rate.delete", rate.id, "by hand", before=_state(rate))
        await tx.delete(rate)
    tax_tables.clear()
