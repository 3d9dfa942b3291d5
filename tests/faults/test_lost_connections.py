"""Broker connections that are closed all the time, and processes that freeze: how soon all is well."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from urllib.parse import quote

import httpx
import pytest

from invariants import SERVICES, InvariantChecker
from load import Load
from provision.broker import VHOST
from recorder import CONNECTION
from replicas import replica
from schedules import family, strikes, suspended
from subscriber import Log
from suite.instance import Instance

REPLICATED = ("orders", "inventory")
FROZEN = ("inventory", "orders", "payments", "feed")
ROUNDS, EVERY = 10, 2.0
# Longer than the broker waits for a heartbeat.
FREEZE = 35.0

pytestmark = pytest.mark.full


async def close_connections(instance: Instance) -> int:
    """Close those of the services and of the subscriber; returns how many there were."""
    closed = 0
    api_url = instance.environment.broker.management_url
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
        for each in (await api.get("/api/connections")).json():
            if each.get("user") in SERVICES or each.get("user_provided_name") == CONNECTION:
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


async def repeated_in_the_feed(books: InvariantChecker) -> int:
    """How many events the feed shows more than once."""
    rows = await books.rows("feed", "select count(*) - count(distinct event_id) as n from events")
    return int(rows[0]["n"])


async def test_all_connections_are_closed_every_two_seconds(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        closed = 0
        for _ in range(ROUNDS):
            closed += await close_connections(instance)
            await asyncio.sleep(EVERY)
        return closed

    run = "all broker connections closed every 2 s"
    async with AsyncExitStack() as stack:
        for name in REPLICATED:
            await stack.enter_async_context(replica(instance, name))
        await strikes(strike, run, crowd, books, seed, lasts=ROUNDS * EVERY)
    assert await in_order(instance) == []
    assert await repeated_in_the_feed(books) == 0


async def test_every_process_freezes_beside_a_replica_and_goes_on(
    instance: Instance, crowd: Load, books: InvariantChecker, seed: int
) -> None:
    async def strike() -> int:
        for name in FROZEN:
            with suspended(family(instance, name)):
                await asyncio.sleep(FREEZE)
        return len(FROZEN)

    run = f"{len(FROZEN)} processes beside a replica frozen in turn, {FREEZE:.0f} s"
    async with AsyncExitStack() as stack:
        for name in REPLICATED:
            await stack.enter_async_context(replica(instance, name))
        await strikes(strike, run, crowd, books, seed, lasts=FREEZE * len(FROZEN))
        for name in REPLICATED:
            assert await consumers(instance, name) == len(("its own", "the replica's"))


async def consumers(instance: Instance, service: str) -> int:
    """How many consumers the broker counts on a work queue."""
    api_url = instance.environment.broker.management_url
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
        found = await api.get(f"/api/consumers/{VHOST}")
        return sum(each["queue"]["name"] == f"svc.{service}" for each in found.json())
