"""Routes for staff over customers, with or without a login."""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag, outbox
from chassis.auth import require_permission
from chassis.constraints import violations_as
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import new_id, utcnow
from chassis.ops import audit
from chassis.pages import Page, Paged
from chassis.wire import Body, Name, View
from identity import service
from identity.api.dependencies import Email, Phone, actor_with
from identity.domain.address import BadPhone
from identity.domain.customer import (
    Customer,
    CustomerExists,
    CustomerMerged,
    CustomerStatus,
    EmailBelongsToLogin,
)
from identity.domain.role import Actor
from identity.service import within_authority
from identity.store import customers, users
from identity.store.roles import get_permissions_of_customer

router = APIRouter(prefix="/v1/admin/customers")

Reads = Depends(require_permission("customers:read"))
Writes = Annotated[Actor, Depends(actor_with("customers:write"))]


class CustomerBody(Body):
    """A buyer. The user who verifies the e-mail address claims the customer."""

    email: Email | None = None
    first_name: Name
    last_name: Name
    phone: Phone | None = None


class CustomerStatusBody(Body):
    """Whether the customer may buy."""

    status: CustomerStatus


class CustomerView(View):
    """A customer; without a login, `user_id` is null and `managed_by` is the staff in charge."""

    id: UUID
    user_id: UUID | None
    managed_by: UUID | None
    merged_into: UUID | None
    status: str
    email: str | None
    first_name: str
    last_name: str
    phone: str | None
    created_by: str
    updated_by: str
    created_at: datetime


def _view_with_etag(response: Response, customer: Customer) -> CustomerView:
    etag.set_header(response, customer.version)
    return CustomerView.model_validate(customer)


@router.get("", dependencies=[Reads])
async def list_customers(
    *,
    paging: Paged,
    tx: Tx,
    email: Annotated[Email | None, Query()] = None,
    status: Annotated[CustomerStatus | None, Query()] = None,
    user_id: Annotated[UUID | None, Query()] = None,
    has_login: Annotated[bool | None, Query()] = None,
) -> Page[CustomerView]:
    """List customers, the newest first."""
    filters = customers.CustomerFilter(
        email=email, status=status, user_id=user_id, has_login=has_login
    )
    found = await customers.list_customers(
        tx, filters, after=paging.position(UUID), limit=paging.limit
    )
    return paging.page(found, CustomerView.model_validate, lambda customer: customer.id)


@router.get("/{customer_id}", dependencies=[Reads])
@refuses(NotFound)
async def get_customer(customer_id: UUID, tx: Tx, response: Response) -> CustomerView:
    """Return one customer."""
    return _view_with_etag(response, await customers.get_customer(tx, customer_id))


@router.post("", status_code=201)
@refuses(CustomerExists, BadPhone)
async def create_customer(
    body: CustomerBody, actor: Writes, tx: Tx, response: Response
) -> CustomerView:
    """Create a customer without a login, managed by you."""
    await _ensure_unregistered(tx, body.email)
    customer = Customer(
        id=new_id(),
        managed_by=actor.id,
        status="active",
        email=body.email,
        first_name=body.first_name,
        last_name=body.last_name,
        phone=body.phone,
        created_by=actor.principal,
        updated_by=actor.principal,
    )
    async with within_authority(tx, actor, partial(get_permissions_of_customer, tx, customer.id)):
        tx.add(customer)
        await _flush(tx)
        after = {"status": customer.status}
        await audit.record(tx, "customer.create", customer.id, "by hand", after=after)
        outbox.add(tx, customer.changed())
    response.headers["Location"] = f"{router.prefix}/{customer.id}"
    return _view_with_etag(response, customer)


@router.put("/{customer_id}")
@refuses(NotFound, CustomerExists, CustomerMerged, EmailBelongsToLogin, BadPhone)
async def change_customer(
    *,
    customer_id: UUID,
    body: CustomerBody,
    expected: etag.IfMatch,
    actor: Writes,
    tx: Tx,
    response: Response,
) -> CustomerView:
    """Replace a customer's names, phone and, without a login, e-mail address."""
    customer = await customers.lock_customer(tx, customer_id)
    etag.check(customer.version, expected)
    customer.ensure_not_merged()
    async with within_authority(tx, actor, partial(get_permissions_of_customer, tx, customer.id)):
        changed = [name for name, value in body if getattr(customer, name) != value]
        if customer.set_email(body.email):
            await _ensure_unregistered(tx, body.email)
        customer.set_profile(
            first_name=body.first_name,
            last_name=body.last_name,
            phone=body.phone,
            by=actor.principal,
        )
        await _flush(tx)
        # The names of the fields alone: the audit trail stores no personal data.
        after = {"changed": changed}
        await audit.record(tx, "customer.change", customer.id, "by hand", after=after)
    return _view_with_etag(response, customer)


@router.put("/{customer_id}/status")
@refuses(NotFound, CustomerMerged)
async def set_status(
    *,
    customer_id: UUID,
    body: CustomerStatusBody,
    expected: etag.IfMatch,
    actor: Writes,
    tx: Tx,
    response: Response,
) -> CustomerView:
    """Activate, deactivate or block a customer: an inactive one logs in but cannot buy.

    Blocking ends the sessions of their user; any change revokes the user's access tokens.
    """
    customer = await customers.lock_customer_and_user(tx, customer_id)
    etag.check(customer.version, expected)
    customer.ensure_not_merged()
    async with within_authority(tx, actor, partial(get_permissions_of_customer, tx, customer.id)):
        before, after = {"status": customer.status}, {"status": body.status}
        await audit.record(
            tx, "customer.status", customer.id, "by hand", before=before, after=after
        )
        outbox.add(tx, *customer.set_status(body.status, actor.principal))
        if customer.user_id is not None:
            await _revoke_access(tx, customer.user_id, body.status)
    return _view_with_etag(response, customer)


async def _revoke_access(tx: AsyncSession, user_id: UUID, status: CustomerStatus) -> None:
    user = await users.lock_user(tx, user_id)
    if status == "blocked":
        await service.end_sessions(tx, user, utcnow())
    else:
        await service.revoke_tokens(tx, user.revoke_tokens())


async def _ensure_unregistered(tx: AsyncSession, email: str | None) -> None:
    """Raise CustomerExists for the verified address of a user, who is a customer already."""
    owner = await users.find_user_by_email(tx, email) if email is not None else None
    if owner is not None and owner.is_verified:
        raise CustomerExists


async def _flush(tx: AsyncSession) -> None:
    with violations_as(uq_customers_email_unclaimed=CustomerExists):
        await tx.flush()
