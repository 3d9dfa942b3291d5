"""Filling an empty copy of another service's state: ask its owner, who tells it piece by piece."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Database
from chassis.sweep import Sweep
from contracts.message import Command

REQUEST_INTERVAL = 60.0


def request_snapshots_while_empty(
    name: str, is_empty: Callable[[AsyncSession], Awaitable[bool]], ask: Callable[[], Command]
) -> Sweep:
    """A sweep that sends `ask()` at the start, and every minute, for as long as nothing is known.

    The answers are snapshots: they are applied like events, the newest number wins. A new service,
    or one whose copy was emptied, fills itself so.
    """

    async def look(database: Database) -> int:
        async with database.transaction() as tx:
            if await is_empty(tx):
                outbox.add(tx, ask())
        return 0

    return Sweep(f"bootstrap of {name}", look, every=REQUEST_INTERVAL)
