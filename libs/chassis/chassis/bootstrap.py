"""Bootstraps an empty read model of another service by requesting snapshots from it."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Database
from chassis.sweep import Sweep
from contracts.message import Command

REQUEST_INTERVAL = 60.0


def request_snapshots_while_empty(
    name: str, is_empty: Callable[[AsyncSession], Awaitable[bool]], request: Callable[[], Command]
) -> Sweep:
    """A sweep that sends the command of `request()` at startup and every minute while empty.

    The owner replies with snapshots, which are applied like events: the highest sequence wins. So a
    new service, or one whose read model was truncated, fills it by itself.
    """

    async def request_snapshots(database: Database) -> int:
        async with database.transaction() as tx:
            if await is_empty(tx):
                outbox.add(tx, request())
        return 0

    return Sweep(f"bootstrap of {name}", request_snapshots, every=REQUEST_INTERVAL)
