"""Accounts as a whole: opening one, proving its mailbox, and coming in by it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, outbox, revocations
from chassis.ids import new_id
from chassis.revocations import Revoked
from contracts.identity import CustomerChanged
from identity.domain.access import Access
from identity.domain.customer import Customer
from identity.domain.role import CUSTOMER
from identity.domain.session import RefreshToken, Session
from identity.domain.user import User
from identity.settings import IdentitySettings
from identity.store import addresses, authority, customers, sessions, users


async def open_account(
    tx: AsyncSession,
    *,
    email: str,
    password_hash: str,
    first_name: str,
    last_name: str,
    phone: str | None,
) -> tuple[User, Customer]:
    """Make a user, not verified yet, and the customer that they are."""
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


async def prove_mailbox(tx: AsyncSession, user: User, now: datetime) -> None:
    """Take a locked user's address as proven, and claim the customer staff made for it."""
    if user.is_verified:
        return
    own = await customers.lock_customer_of(tx, user.id)
    waiting = await customers.lock_unclaimed_customer(tx, user.email)
    if waiting is not None and await _may_claim(tx, own, waiting):
        outbox.add(tx, *await _claim(tx, user, own, waiting))
        # Tokens that name the merged customer would go on to act for it.
        await revoke(tx, user.revoke_tokens(waiting.id))
        own = waiting
    outbox.add(tx, *user.verify(own.id, now))


async def _may_claim(tx: AsyncSession, own: Customer, waiting: Customer) -> bool:
    """Whether proving a mailbox neither opens a blocked person nor shuts out one with authority."""
    if own.status == "blocked":
        return False
    if waiting.status == "blocked":
        return not await authority.get_permissions_of_customer(tx, own.id)
    return True


async def _claim(
    tx: AsyncSession, user: User, own: Customer, waiting: Customer
) -> list[CustomerChanged]:
    by = context.current().actor
    gone = own.merge_into(waiting, by)
    # The user lets go of one customer before taking the other: each has one.
    await tx.flush()
    taken = waiting.claim(user.id, by)
    await customers.move_addresses(tx, own.id, waiting.id)
    return [gone, taken]


async def reclaim_account(tx: AsyncSession, user: User, now: datetime) -> None:
    """Take a locked user's address as proven by its mailbox alone, without the password.

    Whoever opened the account may be a stranger, so nothing that was stored before stays: the user
    gets another customer, a fresh one or the one that staff made, and only orders go along. What a
    straggler still stores for the customer before is the user's no more. Nothing happens where
    the address was proven before.
    """
    if user.is_verified:
        return
    by = context.current().actor
    before = await customers.lock_customer_of(tx, user.id)
    waiting = await customers.lock_unclaimed_customer(tx, user.email)
    claims = waiting is not None and await _may_claim(tx, before, waiting)
    status = before.status
    before.user_id = before.email = None
    # The user lets go of one customer before taking the other: each has one.
    await tx.flush()
    if waiting is None or not claims:
        waiting = Customer(
            id=new_id(),
            user_id=user.id,
            email=user.email,
            first_name="",
            last_name="",
            status=status,
            created_by=by,
            updated_by=by,
        )
        tx.add(waiting)
        await tx.flush()
    user.describe(first_name=waiting.first_name, last_name=waiting.last_name, phone=waiting.phone)
    outbox.add(
        tx,
        before.abandon_to(waiting, user.id, by),
        waiting.claim(user.id, by),
        *user.verify(waiting.id, now),
    )
    await addresses.delete_addresses(tx, before.id)


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
    """Open a session for a user who has proven to be one."""
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
    """End one session of a user with its access tokens; tells whether it was theirs and open."""
    ended = await sessions.revoke_session(tx, user_id, session_id, now)
    if ended:
        await revoke(tx, Session.revoke_tokens(session_id, user_id))
    return ended


async def end_sessions(tx: AsyncSession, user: User, now: datetime) -> None:
    """End every session of a locked user with their access tokens."""
    await sessions.revoke_sessions(tx, user.id, now)
    await revoke(tx, user.revoke_tokens())


async def revoke(tx: AsyncSession, *revoked: Revoked) -> None:
    """Let access tokens count no more: here from the commit on, in other services soon after."""
    await revocations.store(revoked, tx)
    outbox.add(tx, *revoked)


async def check_may_come_in(tx: AsyncSession, user: User) -> None:
    """Refuse whoever is paused, banned or blocked."""
    user.check_may_come_in()
    customer = await customers.get_customer_of(tx, user.id)
    customer.check_may_come_in()
