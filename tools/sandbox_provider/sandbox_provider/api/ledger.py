"""The route that reads the ledger."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from sandbox_provider import store
from sandbox_provider.provider import CurrentProvider, authenticated
from sandbox_provider.views import EntryView, Reference

router = APIRouter(prefix="/v1/ledger", dependencies=[Depends(authenticated)])


class LedgerPage(BaseModel):
    """Entries by rising id; `next` is the `after` of the following page, null on the last one."""

    entries: list[EntryView]
    next: int | None


@router.get("")
async def get_ledger(
    provider: CurrentProvider,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    reference: Annotated[Reference | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> LedgerPage:
    """List the entries of customer, held and merchant; every reference sums to zero."""
    async with provider.database.transaction() as connection:
        rows = await store.list_entries(
            connection, after=after, reference=reference, limit=limit + 1
        )
    entries = [EntryView.model_validate(row) for row in rows[:limit]]
    return LedgerPage(entries=entries, next=entries[-1].id if len(rows) > limit else None)
