"""Changes of what people may do: each runs inside `exercised`, which holds the rule of authority.

Everything is read in the transaction of the change, under one lock, so that neither an outdated
token nor a concurrent change can get around the rule.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Unauthenticated
from identity.domain.authority import Actor, AddressNotVerified, LastAdministrator
from identity.domain.customer import CustomerBlocked
from identity.domain.user import AccountBanned, AccountInactive
from identity.store import authority as store

Permissions = Callable[[], Awaitable[Collection[str]]]


async def lock_actor(tx: AsyncSession, user_id: UUID, permission: str) -> Actor:
    """Lock out concurrent changes of authority and read who acts, whatever their token claims.

    Raises Forbidden for a user who is paused, banned or blocked or no longer has the permission.
    """
    await store.lock_authority(tx)
    found = await store.find_actor(tx, user_id)
    if found is None:
        raise Unauthenticated
    if found.status == "banned":
        raise AccountBanned
    if found.status == "inactive":
        raise AccountInactive
    if found.customer_status == "blocked":
        raise CustomerBlocked
    actor = Actor(user_id, frozenset(found.permissions))
    actor.check_has(permission)
    return actor


@asynccontextmanager
async def exercised(
    tx: AsyncSession, actor: Actor, permissions: Permissions
) -> AsyncIterator[None]:
    """Make a change under the rule: `permissions` reads what the changed person or role permits.

    It is read before and after the change, and the actor must have all of both; an active
    administrator who exists before must exist after, and no account with an unverified address
    may have a permission that it did not have before. A refusal rolls the transaction back.
    """
    had_administrator = await store.has_administrator(tx)
    of_unverified = await store.list_permissions_of_unverified(tx)
    actor.check_covers(await permissions())
    yield
    await tx.flush()
    actor.check_covers(await permissions())
    if had_administrator and not await store.has_administrator(tx):
        raise LastAdministrator
    # Anybody can register a foreign address: the password would be the stranger's.
    if not of_unverified.issuperset(await store.list_permissions_of_unverified(tx)):
        raise AddressNotVerified
