"""Use cases that several routes and the bootstrap share: accounts, sessions, authority, mails."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, outbox, revocations
from chassis.errors import Unauthenticated
from chassis.ids import new_id
from chassis.revocations import Revoked
from contracts.identity import CustomerChanged
from contracts.notifications import MailLink, Notify, SecurityWarning, WarnAccountOwner
from identity.domain.credentials import EmailToken, Purpose
from identity.domain.customer import Customer, CustomerBlocked
from identity.domain.role import CUSTOMER, Actor, AddressNotVerified, LastAdministrator
from identity.domain.session import RefreshToken, Session
from identity.domain.user import Access, User, ensure_status_active
from identity.settings import IdentitySettings
from identity.store import credentials, customers, roles, users

Permissions = Callable[[], Awaitable[Collection[str]]]

PAGES: dict[Purpose, str] = {
    "verification": "verify-email",
    "password_reset": "reset-password",
}


async def open_account(
    tx: AsyncSession,
    *,
    email: str,
    password_hash: str,
    first_name: str,
    last_name: str,
    phone: str | None,
) -> tuple[User, Customer]:
    """Create an unverified user and their customer."""
    user = User(
        id=new_id(),
        email=email,
        password_hash=password_hash,
        first_name=first_name,
        last_name=last_name,
        phone=phone,
    )
    by = f"user:{user.id}"
    customer = Customer(
        id=new_id(),
        user_id=user.id,
        email=email,
        first_name=first_name,
        last_name=last_name,
        phone=phone,
        status="active",
        created_by=by,
        updated_by=by,
    )
    tx.add(user)
    await tx.flush()
    tx.add(customer)
    await users.add_roles(tx, user.id, [CUSTOMER])
    outbox.add(tx, user.registered(customer.id), customer.changed())
    return user, customer


async def verify_email(tx: AsyncSession, user: User, now: datetime) -> None:
    """Mark a locked user's e-mail address as verified, and claim the customer staff created for it.

    Does nothing if the address was verified before.
    """
    if user.is_verified:
        return
    own = await customers.lock_customer_of_user(tx, user.id)
    unclaimed = await customers.lock_unclaimed_customer(tx, user.email)
    if unclaimed is not None and await _may_claim(tx, own, unclaimed):
        outbox.add(tx, *await _claim(tx, user, own, unclaimed))
        # Tokens that name the merged customer would continue to act for it.
        await revoke_tokens(tx, user.revoke_tokens(unclaimed.id))
        own = unclaimed
    outbox.add(tx, *user.verify(own.id, now))


async def _may_claim(tx: AsyncSession, own: Customer, unclaimed: Customer) -> bool:
    """Whether a claim neither unblocks a blocked user nor blocks a user with permissions."""
    if own.status == "blocked":
        return False
    if unclaimed.status == "blocked":
        return not await roles.get_permissions_of_customer(tx, own.id)
    return True


async def _claim(
    tx: AsyncSession, user: User, own: Customer, unclaimed: Customer
) -> list[CustomerChanged]:
    by = context.current().actor
    merged = own.merge_into(unclaimed, by)
    # A user has one customer at a time, so the former one is written first.
    await tx.flush()
    claimed = unclaimed.claim(user.id, by)
    await customers.move_addresses(tx, own.id, unclaimed.id)
    return [merged, claimed]


async def reclaim_account(tx: AsyncSession, user: User, now: datetime) -> None:
    """Mark a locked user's e-mail address as verified by the mailbox alone, without the password.

    A stranger may have opened the account, so nothing stored before remains: the user moves to
    another customer, a new one or the one that staff created, and only orders move along. Data
    that a concurrent request still stores for the former customer is not the user's any more.
    Does nothing if the address was verified before.
    """
    if user.is_verified:
        return
    by = context.current().actor
    former = await customers.lock_customer_of_user(tx, user.id)
    target = await customers.lock_unclaimed_customer(tx, user.email)
    may_claim = target is not None and await _may_claim(tx, former, target)
    status = former.status
    former.user_id = former.email = None
    # A user has one customer at a time, so the former one is written first.
    await tx.flush()
    if target is None or not may_claim:
        target = Customer(
            id=new_id(),
            user_id=user.id,
            email=user.email,
            first_name="",
            last_name="",
            status=status,
            created_by=by,
            updated_by=by,
        )
        tx.add(target)
        await tx.flush()
    user.set_profile(first_name=target.first_name, last_name=target.last_name, phone=target.phone)
    outbox.add(
        tx,
        former.abandon_to(target, user.id, by),
        target.claim(user.id, by),
        *user.verify(target.id, now),
    )
    await customers.delete_addresses(tx, former.id)


async def ensure_active(tx: AsyncSession, user: User) -> None:
    """Raise Forbidden for an inactive or banned user and for one whose customer is blocked."""
    user.ensure_active()
    customer = await customers.get_customer_of_user(tx, user.id)
    customer.ensure_active()


async def begin_session(
    tx: AsyncSession,
    settings: IdentitySettings,
    user_id: UUID,
    *,
    remember: bool,
    ip_address: str,
    user_agent: str,
    now: datetime,
) -> tuple[Access, RefreshToken]:
    """Open a session for an authenticated user."""
    lifetime = settings.remembered_session_seconds if remember else settings.session_seconds
    session, token = Session.open(
        session_id=new_id(),
        user_id=user_id,
        remember=remember,
        lifetime=lifetime,
        ip_address=ip_address,
        user_agent=user_agent,
        now=now,
    )
    tx.add(session)
    await tx.flush()
    return await users.get_access(tx, user_id, session.id), token


async def end_session(tx: AsyncSession, user_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End one session with its access tokens; returns whether it was the user's and open."""
    ended = await credentials.revoke_session(tx, user_id, session_id, now)
    if ended:
        await revoke_tokens(tx, Session.revoke_tokens(session_id, user_id))
    return ended


async def end_sessions(tx: AsyncSession, user: User, now: datetime) -> None:
    """End every session of a locked user with their access tokens."""
    await credentials.revoke_sessions(tx, user.id, now)
    await revoke_tokens(tx, user.revoke_tokens())


async def revoke_tokens(tx: AsyncSession, *revoked: Revoked) -> None:
    """Revoke access tokens: here at commit, in other services once they consume the event."""
    await revocations.store(revoked, tx)
    outbox.add(tx, *revoked)


async def lock_actor(tx: AsyncSession, user_id: UUID, permission: str) -> Actor:
    """Lock authority against concurrent changes and read the actor, whatever their token claims.

    Raises Forbidden for an inactive, banned or blocked user and for one without the permission.
    """
    await roles.lock_authority(tx)
    found = await roles.find_actor(tx, user_id)
    if found is None:
        raise Unauthenticated
    ensure_status_active(found.status)
    if found.customer_status == "blocked":
        raise CustomerBlocked
    actor = Actor(user_id, frozenset(found.permissions))
    actor.ensure_has(permission)
    return actor


@asynccontextmanager
async def within_authority(
    tx: AsyncSession, actor: Actor, permissions: Permissions
) -> AsyncIterator[None]:
    """Apply the rule of authority to the change made inside, by the state before and after it.

    `permissions` reads the permissions of the changed user, customer or role; the actor must have
    all of them before and after. An active administrator must remain, and no account without a
    verified address may gain a permission. All of it is read in the transaction of the change,
    under the lock of `lock_actor`, so neither an outdated token nor a concurrent change evades the
    rule. A refusal rolls the transaction back.
    """
    had_administrator = await roles.has_administrator(tx)
    of_unverified = await roles.list_permissions_of_unverified(tx)
    actor.ensure_covers(await permissions())
    yield
    await tx.flush()
    actor.ensure_covers(await permissions())
    if had_administrator and not await roles.has_administrator(tx):
        raise LastAdministrator
    # Anyone can register an address of another person, with a password of their own.
    if not of_unverified.issuperset(await roles.list_permissions_of_unverified(tx)):
        raise AddressNotVerified


def send_link(
    tx: AsyncSession, settings: IdentitySettings, user: User, purpose: Purpose, now: datetime
) -> None:
    """Store a new e-mail token and request the mail with its link, both at commit."""
    token = EmailToken.issue(
        token_id=new_id(),
        user_id=user.id,
        purpose=purpose,
        email=user.email,
        lifetime=settings.verification_seconds
        if purpose == "verification"
        else settings.password_reset_seconds,
        now=now,
    )
    tx.add(token)
    outbox.add(
        tx,
        Notify(
            operation_id=new_id(),
            expires_at=token.expires_at,
            type=purpose,
            recipient=user.email,
            reference_type="token",
            reference_id=token.id,
            facts={"name": user.first_name},
        ),
    )


def build_link(settings: IdentitySettings, token: EmailToken, secret: str) -> MailLink:
    """Build the link of a mail from the token's secret."""
    page = f"{settings.public_url.rstrip('/')}/{PAGES[token.purpose]}"
    return MailLink(link=f"{page}?{urlencode({'token': secret})}", token=secret)


def warn_password_changed(tx: AsyncSession, user: User) -> None:
    """Warn the owner of an account that its password was changed."""
    _warn(tx, user, "password_changed", "password_change", new_id())


def warn_session_compromised(tx: AsyncSession, user: User, session_id: UUID) -> None:
    """Warn the owner of an account that a reused refresh token ended a session."""
    _warn(tx, user, "session_compromised", "session", session_id)


def _warn(
    tx: AsyncSession,
    user: User,
    kind: SecurityWarning,
    reference_type: Literal["password_change", "session"],
    reference_id: UUID,
) -> None:
    outbox.add(
        tx,
        WarnAccountOwner(
            operation_id=new_id(),
            type=kind,
            user_id=user.id,
            recipient=user.email,
            reference_type=reference_type,
            reference_id=reference_id,
            facts={"name": user.first_name},
        ),
    )
