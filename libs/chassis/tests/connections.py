"""Closing the broker connections of one user, as an operator or a proxy does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import topology

from testkit.harness import PLAIN
from testkit.servers import setting


async def close_connections(user: str, purpose: str = "") -> int:
    """Close those that stand, of all purposes or one; returns how many."""
    closed = 0
    async with httpx.AsyncClient(base_url=setting("TEST_BROKER_API"), verify=PLAIN) as api:
        found = (await api.get(f"/api/vhosts/{topology.VHOST}/connections")).json()
        for each in found:
            named = str(each.get("user_provided_name", ""))
            if each.get("user") == user and named.endswith(purpose):
                answer = await api.delete(f"/api/connections/{quote(each['name'], safe='')}")
                closed += answer.is_success
    return closed


@asynccontextmanager
async def closed_again_and_again(user: str, pause: float) -> AsyncIterator[list[int]]:
    """Close a user's connections all the time; the list grows by how many there were."""
    counts: list[int] = []

    async def close() -> None:
        while True:
            counts.append(await close_connections(user))
            await asyncio.sleep(pause)

    task = asyncio.create_task(close())
    try:
        yield counts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
