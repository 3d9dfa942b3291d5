"""Routes for the signed-in user: account and sessions."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import etag
from chassis.auth import Caller, SignedIn
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import utcnow
from chassis.pages import Page, Paged
from chassis.wire import Body, Name, View
from identity import service
from identity.api.dependencies import Phone, UserView
from identity.domain.address import BadPhone
from identity.domain.session import Session
from identity.domain.user import User
from identity.store import credentials, customers, users

router = APIRouter(prefix="/v1/me")


class ProfileBody(Body):
    """The changes; an absent field stays as it is, and a phone of null is deleted."""

    first_name: Name | None = None
    last_name: Name | None = None
    phone: Phone | None = None


class SessionView(View):
    """A login on one device; `is_current` marks the session of this request."""

    id: UUID
    ip_address: str
    user_agent: str
    remember: bool
    is_current: bool
    created_at: datetime
    last_activity_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, caller: Caller) -> "SessionView":
        return cls(
            id=session.id,
            ip_address=session.ip_address,
            user_agent=session.user_agent,
            remember=session.remember,
            is_current=session.id == caller.session_id,
            created_at=session.created_at,
            last_activity_at=session.last_activity_at,
            expires_at=session.expires_at,
        )


async def _view_with_etag(
    tx: AsyncSession, response: Response, user: User, customer_id: UUID
) -> UserView:
    etag.set_header(response, user.version)
    roles = await users.list_role_names(tx, [user.id])
    return UserView.of(user, customer_id, roles.get(user.id, []))


@router.get("")
@refuses(NotFound)
async def get_me(caller: SignedIn, tx: Tx, response: Response) -> UserView:
    """Return your account."""
    user = await users.get_user(tx, caller.id)
    customer = await customers.get_customer_of_user(tx, user.id)
    return await _view_with_etag(tx, response, user, customer.id)


@router.patch("")
@refuses(NotFound, BadPhone)
async def change_me(
    body: ProfileBody, expected: etag.IfMatch, caller: SignedIn, tx: Tx, response: Response
) -> UserView:
    """Change your name or phone number."""
    user = await users.lock_user(tx, caller.id)
    etag.check(user.version, expected)
    customer = await customers.lock_customer_of_user(tx, user.id)
    user.set_profile(
        first_name=body.first_name or user.first_name,
        last_name=body.last_name or user.last_name,
        phone=body.phone if "phone" in body.model_fields_set else user.phone,
    )
    customer.set_profile(
        first_name=user.first_name, last_name=user.last_name, phone=user.phone, by=caller.principal
    )
    return await _view_with_etag(tx, response, user, customer.id)


@router.get("/sessions")
async def list_sessions(caller: SignedIn, paging: Paged, tx: Tx) -> Page[SessionView]:
    """List your open sessions, the newest first."""
    found = await credentials.list_open_sessions(
        tx, caller.id, now=utcnow(), after=paging.position(UUID), limit=paging.limit
    )
    return paging.page(found, lambda s: SessionView.of(s, caller), lambda s: s.id)


@router.delete("/sessions/{session_id}", status_code=204)
@refuses(NotFound)
async def end_session(session_id: UUID, caller: SignedIn, tx: Tx) -> None:
    """Log out one of your devices."""
    if not await service.end_session(tx, caller.id, session_id, utcnow()):
        raise NotFound
