"""Broker connections that are closed all the time, and processes that freeze: how soon all is well."""

import asyncio
import os
import signal
from collections import defaultdict
from contextlib import AsyncExitStack
from urllib.parse import quote

import httpx
import pytest

from crowd import Crowd, visits
from invariants import SERVICES, Books
from replicas import replica
from subscriber import Log
from suite.instance import Instance
from suite.topology import VHOST
from tally import Watch
from test_crowd import VISITS, everything_holds

REPLICATED = ("orders", "inventory")
FROZEN = ("inventory", "orders", "payments", "feed")
ROUNDS, EVERY = 10, 2.0
# Longer than the broker waits for a heartbeat.
FREEZE = 35.0
# Judged generously: on a machine of its own it takes less than twenty seconds.
SETTLED_WITHIN = 60.0

pytestmark = pytest.mark.full


async def close_connections(instance: Instance) -> int:
    """Close those of the services; returns how many there were."""
    closed = 0
    api_url = instance.environment.broker.management_url
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
        for each in (await api.get("/api/connections")).json():
            if each.get("user") in SERVICES:
                name = quote(each["name"], safe="")
                closed += (await api.delete(f"/api/connections/{name}")).is_success
    return closed


async def in_order(instance: Instance) -> list[str]:
    """Aggregates of which the log shows a number first behind a later one, or leaves one out."""
    log = Log(instance.broker_url())
    seen: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    async for batch in log.read(until=await log.end()):
        for each in batch:
            aggregate = (each.envelope.source, each.envelope.subject)
            seen[aggregate].setdefault(each.envelope.sequence or 0)
    return [
        f"I5 {aggregate}: first seen {list(numbers)}"
        for aggregate, numbers in seen.items()
        if list(numbers) != list(range(1, len(numbers) + 1))
    ]


async def repeated_in_the_feed(books: Books) -> int:
    """How many events the feed shows more than once."""
    rows = await books.rows("feed", "select count(*) - count(distinct event_id) as n from events")
    return int(rows[0]["n"])


async def test_all_connections_are_closed_every_two_seconds(
    instance: Instance, crowd: Crowd, books: Books, seed: int
) -> None:
    watch = Watch(books, "all broker connections closed every 2 s", seed)
    async with AsyncExitStack() as stack:
        for name in REPLICATED:
            await stack.enter_async_context(replica(instance, name))
        shopping = asyncio.create_task(crowd.shop(visits(seed, VISITS)))
        await asyncio.wait_for(crowd.first.wait(), 60)
        closed = 0
        for _ in range(ROUNDS):
            closed += await close_connections(instance)
            await asyncio.sleep(EVERY)
        await shopping
        await books.settle(SETTLED_WITHIN)
    await everything_holds(crowd, await watch.tally(crowd, injected=closed))
    assert await in_order(instance) == []
    assert await repeated_in_the_feed(books) == 0


async def test_every_process_freezes_beside_a_replica_and_goes_on(
    instance: Instance, crowd: Crowd, books: Books, seed: int
) -> None:
    watch = Watch(books, "each process frozen for 35 s", seed)
    async with AsyncExitStack() as stack:
        for name in REPLICATED:
            await stack.enter_async_context(replica(instance, name))
        shopping = asyncio.create_task(crowd.shop(visits(seed, VISITS)))
        await asyncio.wait_for(crowd.first.wait(), 60)
        for name in FROZEN:
            pid = instance.pids[name]
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(FREEZE)
            os.kill(pid, signal.SIGCONT)
        await shopping
        await books.settle(SETTLED_WITHIN)
        for name in REPLICATED:
            assert await consumers(instance, name) == len(("its own", "the replica's"))
    await everything_holds(crowd, await watch.tally(crowd, injected=len(FROZEN)))


async def consumers(instance: Instance, service: str) -> int:
    """How many consumers the broker counts on a work queue."""
    api_url = instance.environment.broker.management_url
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
        found = await api.get(f"/api/consumers/{VHOST}")
        return sum(each["queue"]["name"] == f"svc.{service}" for each in found.json())
