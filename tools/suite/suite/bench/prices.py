"""What the smallest pieces of a checkout cost by themselves, in microseconds of processor time.

The same piece is priced in a stream, which keeps the caches of the processor filled with what it
needs, and fifty times a second, as each step of a checkout comes in a busy shop.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import asyncpg

from suite.bench import accounting
from suite.bench.client import Connection
from suite.instance import Instance

Work = Callable[[], Awaitable[Any]]

SMALL_ROUTE = "/.well-known/jwks.json"
TABLE = (
    "drop table if exists bench_price;"
    "create table bench_price (id bigint generated always as identity primary key, body text)"
)
MICROSECONDS = 10**6


@dataclass(frozen=True, slots=True)
class Pace:
    """How a piece comes: on how many connections, and how often a second on each, if not always."""

    name: str
    connections: int
    rate: float | None


PACES = (Pace("in a stream", 8, None), Pace("fifty a second", 1, 50.0))


@dataclass(frozen=True, slots=True)
class Scale:
    """Weighs for so many seconds. `idle` is what each process uses of a second at rest."""

    suite: Instance
    seconds: float
    idle: dict[str, float]

    async def price(self, works: Collection[Work], pace: Pace, processes: Collection[str]) -> float:
        """What a piece costs in these processes; `driver` is this one, where it is asked for."""
        done, end = 0, time.perf_counter() + self.seconds

        async def again_and_again(work: Work) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await work()
                done += 1
                await asyncio.sleep(1 / pace.rate if pace.rate else 0)

        used = await spent(self.suite, lambda: asyncio.gather(*map(again_and_again, works)))
        seconds = sum(used[name] - self.idle.get(name, 0.0) for name in processes) * self.seconds
        return round(seconds / done * MICROSECONDS, 1)


async def prices(suite: Instance, seconds: float) -> dict[str, float]:
    """Measure each piece for so many seconds."""
    scale = Scale(suite, seconds, await spent(suite, lambda: asyncio.sleep(seconds)))
    found = {}
    for pace in PACES:
        for what, where in (("a service", []), ("the gateway", ["gateway"])):
            clients = [
                Connection(suite.url(where[0] if where else "identity"))
                for _ in range(pace.connections)
            ]
            works = [_asking(client) for client in clients]
            found[f"request to {what}, {pace.name}"] = await scale.price(
                works, pace, ["identity", *where]
            )
        async with _inserting(suite, pace.connections) as works:
            found[f"transaction of one insert, {pace.name}"] = await scale.price(
                works, pace, ["postgres", "driver"]
            )
    return found


def _asking(connection: Connection) -> Work:
    return lambda: connection.request("GET", SMALL_ROUTE)


@contextlib.asynccontextmanager
async def _inserting(suite: Instance, number: int) -> AsyncIterator[list[Work]]:
    """BEGIN, an insert and COMMIT, each a round trip."""
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
    """Processor seconds of each process, and of this one, in each second of the work."""
    own, before = os.times(), accounting.usage(suite)
    await work()
    used = accounting.usage(suite).since(before)
    now = os.times()
    driver = now.user + now.system - own.user - own.system
    return {name: each / used.at for name, each in {**used.by_process, "driver": driver}.items()}
