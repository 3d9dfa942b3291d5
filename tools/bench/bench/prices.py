"""The cost of the smallest pieces of a checkout, in microseconds of processor time.

Each piece is measured in a continuous stream, with warm processor caches, and fifty times a second,
which is the frequency of a checkout's steps in a busy shop.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench import accounting
from bench.client import Connection
from suite.instance import Instance

Work = Callable[[], Awaitable[Any]]

SMALL_ROUTE = "/.well-known/jwks.json"
TABLE = (
    "drop table if exists bench_price;"
    "create table bench_price (id bigint generated always as identity primary key, body text)"
)
MICROSECONDS = 10**6


@dataclass(frozen=True, slots=True)
class Frequency:
    """The connections that run a piece, and its rate per second on each; None is continuous."""

    name: str
    connections: int
    rate: float | None


FREQUENCIES = (Frequency("in a stream", 8, None), Frequency("fifty a second", 1, 50.0))


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures for some seconds. `idle` is each process's usage per second at rest."""

    suite: Instance
    seconds: float
    idle: dict[str, float]

    async def price(
        self, works: Collection[Work], frequency: Frequency, processes: Collection[str]
    ) -> float:
        """The cost of a piece in these processes; `driver` is this one."""
        done, end = 0, time.perf_counter() + self.seconds

        async def repeat(work: Work) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await work()
                done += 1
                await asyncio.sleep(1 / frequency.rate if frequency.rate else 0)

        used = await spent(self.suite, lambda: asyncio.gather(*map(repeat, works)))
        seconds = sum(used[name] - self.idle.get(name, 0.0) for name in processes) * self.seconds
        return round(seconds / done * MICROSECONDS, 1)


async def prices(suite: Instance, seconds: float) -> dict[str, float]:
    """Measure each piece for some seconds."""
    meter = Meter(suite, seconds, await spent(suite, lambda: asyncio.sleep(seconds)))
    found = {}
    for frequency in FREQUENCIES:
        for what, where in (("a service", []), ("the gateway", ["gateway"])):
            clients = [
                Connection(suite.url(where[0] if where else "identity"))
                for _ in range(frequency.connections)
            ]
            works = [_request(client) for client in clients]
            found[f"request to {what}, {frequency.name}"] = await meter.price(
                works, frequency, ["identity", *where]
            )
        async with _inserts(suite, frequency.connections) as works:
            found[f"transaction of one insert, {frequency.name}"] = await meter.price(
                works, frequency, ["postgres", "driver"]
            )
    return found


def _request(connection: Connection) -> Work:
    return lambda: connection.request("GET", SMALL_ROUTE)


@contextlib.asynccontextmanager
async def _inserts(suite: Instance, number: int) -> AsyncIterator[list[Work]]:
    """Pieces of BEGIN, an insert and COMMIT, each a round trip."""
    dsn = suite.dsn("postgres", "postgres")
    connections = [await asyncpg.connect(dsn) for _ in range(number)]
    await connections[0].execute(TABLE)

    def inserting(connection: asyncpg.Connection) -> Work:
        async def insert() -> None:
            async with connection.transaction():
                await connection.execute("insert into bench_price (body) values ($1)", "one row")

        return insert

    try:
        yield [inserting(connection) for connection in connections]
    finally:
        await connections[0].execute("drop table bench_price")
        for connection in connections:
            await connection.close()


async def spent(suite: Instance, work: Work) -> dict[str, float]:
    """Processor seconds of each process, and of this one, per second of the work."""
    own, before = os.times(), accounting.usage(suite)
    await work()
    used = accounting.usage(suite).since(before)
    now = os.times()
    driver = now.user + now.system - own.user - own.system
    return {name: each / used.at for name, each in {**used.by_process, "driver": driver}.items()}
