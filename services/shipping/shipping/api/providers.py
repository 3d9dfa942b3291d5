"""Shipping providers, kept by staff."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from chassis import etag
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import Refused
from chassis.ids import new_id
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Name, SafeText, Slug, Url, View
from shipping.domain import ShippingProvider
from shipping.store import methods as store

router = APIRouter(prefix="/v1/admin/shipping-providers")
READ = Depends(require_permission("shipping:read"))
WRITE = Depends(require_permission("shipping:write"))

Code = Annotated[Slug, Field(max_length=50)]
Email = Annotated[SafeText, Field(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]


class CodeTaken(Refused):
    """Another provider has this code."""

    code = "provider_code_taken"


class ProviderBody(Body):
    """What staff may say of a provider."""

    name: Name
    contact_email: Email | None = None
    contact_phone: Phone | None = None
    api_endpoint: Url | None = None
    status: Literal["active", "inactive"] = "active"


class NewProviderBody(ProviderBody):
    """A new provider; its code and adapter never change."""

    code: Code
    adapter: Literal["manual", "sandbox"] = "manual"


class ProviderView(View):
    """A provider as staff see it."""

    id: UUID
    code: str
    name: str
    adapter: str
    contact_email: str | None
    contact_phone: str | None
    api_endpoint: str | None
    status: str
    version: int


@router.post("", status_code=201, dependencies=[WRITE])
async def create_provider(body: NewProviderBody, tx: Tx, response: Response) -> ProviderView:
    """Take on a provider."""
    provider = ShippingProvider(id=new_id(), version=1, **body.model_dump())
    tx.add(provider)
    with violations_as(uq_shipping_providers_code=CodeTaken):
        await tx.flush()
    audit.name_created(tx, provider.id)
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)


@router.get("", dependencies=[READ])
async def list_providers(paging: Paged, tx: Tx) -> Page[ProviderView]:
    """All providers."""
    rows = await store.list_providers(tx, paging.limit + 1, paging.position(UUID))
    return paging.page(rows, ProviderView.model_validate, lambda row: row.id)


@router.get("/{provider_id}", dependencies=[READ])
async def get_provider(provider_id: UUID, tx: Tx, response: Response) -> ProviderView:
    """One provider."""
    provider = await store.get_provider(tx, provider_id)
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)


@router.put("/{provider_id}", dependencies=[WRITE])
async def change_provider(
    provider_id: UUID, body: ProviderBody, expected: etag.IfMatch, tx: Tx, response: Response
) -> ProviderView:
    """Change a provider; an inactive one's methods are no longer offered."""
    provider = await store.lock_provider(tx, provider_id)
    etag.check(provider.version, expected)
    for field, value in body.model_dump().items():
        setattr(provider, field, value)
    provider.touch()
    etag.set_header(response, provider.version)
    return ProviderView.model_validate(provider)
