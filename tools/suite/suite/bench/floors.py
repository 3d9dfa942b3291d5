"""What the machine can do at best: bare commits, bare confirmed publishes and a bare route."""

import asyncio
import time
from typing import Any

import aio_pika
import asyncpg

from suite.bench.browsing import reading
from suite.bench.calibration import Calibration
from suite.bench.prices import prices
from suite.bench.target import Target
from suite.instance import Instance

CONNECTIONS = 8
WINDOWS = (1, 100)
# About what a message of the checkout weighs.
BODY = b"x" * 500
QUEUE = "bench.floor"
ROUTES = {"gateway alone": "/livez", "gateway and a small route": "/.well-known/jwks.json"}


async def floors(target: Target, seconds: float) -> dict[str, Any]:
    """Measure every floor for so many seconds; those of the servers only on a local instance."""
    routes = {
        name: await reading(target.url, CONNECTIONS, seconds, lambda path=path: path)  # type: ignore[misc]
        for name, path in ROUTES.items()
    }
    async with Calibration() as yardstick:
        await asyncio.sleep(seconds)
    found: dict[str, Any] = {"routes": routes, "yardstick_ms": yardstick.median_ms}
    if target.suite is not None:
        found["postgres_commits_per_s"] = await commits(target.suite, seconds)
        found["publishes_per_s"] = {
            f"window {window}": await publishes(target.suite, window, seconds) for window in WINDOWS
        }
        found["prices_us"] = await prices(target.suite, seconds)
    return found


async def commits(suite: Instance, seconds: float) -> float:
    """Single-row inserts a second, each a commit of its own, on eight connections."""
    dsn = suite.dsn("postgres", "postgres")
    connections = [await asyncpg.connect(dsn) for _ in range(CONNECTIONS)]
    await connections[0].execute(
        "drop table if exists bench_floor;"
        "create table bench_floor (id bigint generated always as identity primary key, body text)"
    )
    end = time.perf_counter() + seconds

    async def insert(connection: asyncpg.Connection) -> int:
        done = 0
        while time.perf_counter() < end:
            await connection.execute("insert into bench_floor (body) values ($1)", "one row")
            done += 1
        return done

    done = await asyncio.gather(*(insert(connection) for connection in connections))
    await connections[0].execute("drop table bench_floor")
    for connection in connections:
        await connection.close()
    return round(sum(done) / seconds, 1)


async def publishes(suite: Instance, window: int, seconds: float) -> float:
    """Persistent messages a second confirmed by a quorum queue, so many at a time under way."""
    async with await aio_pika.connect(suite.broker_url()) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        message = aio_pika.Message(BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        done, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            await asyncio.gather(
                *(channel.default_exchange.publish(message, QUEUE) for _ in range(window))
            )
            done += window
        await queue.delete(if_unused=False, if_empty=False)
    return round(done / seconds, 1)
