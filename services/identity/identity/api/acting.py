"""Who changes what others may do, as the database has them and not their token."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends

from chassis import revocations
from chassis.auth import Caller, require_permission
from chassis.db import Tx
from identity import authority
from identity.domain.authority import Actor


def acting(permission: str) -> Callable[[Caller, Tx], Coroutine[Any, Any, Actor]]:
    """Return a dependency that gives the actor, read and locked in the route's transaction.

    The token is checked first: it costs no query to refuse a caller who never had the permission.
    """

    async def actor(
        caller: Annotated[Caller, Depends(require_permission(permission))], tx: Tx
    ) -> Actor:
        found = await authority.lock_actor(tx, caller.id, permission)
        await revocations.check_now(tx, caller.generations)
        return found

    return actor
