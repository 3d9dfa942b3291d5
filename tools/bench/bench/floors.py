"""The best case of the machine: bare commits, bare confirmed publishes and a bare route."""

import asyncio
import time
from typing import Any

import aio_pika
import asyncpg

from bench.browsing import reading
from bench.calibration import Calibration
from bench.prices import prices
from bench.target import Target
from suite.instance import Instance

CONNECTIONS = 8
WINDOWS = (1, 100)
# About the size of a message of the checkout.
BODY = b"x" * 500
QUEUE = "bench.floor"
ROUTES = {"gateway alone": "/livez", "gateway and a small route": "/.well-known/jwks.json"}


async def floors(target: Target, seconds: float) -> dict[str, Any]:
    """Measure each floor for some seconds; those of the servers on a local instance alone."""
    routes = {
        name: await reading(target.url, CONNECTIONS, seconds, lambda path=path: path)  # type: ignore[misc]
        for name, path in ROUTES.items()
    }
    async with Calibration() as calibration:
        await asyncio.sleep(seconds)
    found: dict[str, Any] = {"routes": routes, "calibration_ms": calibration.median_ms}
    if target.suite is not None:
        found["postgres_commits_per_s"] = await commits(target.suite, seconds)
        found["publishes_per_s"] = {
            f"window {window}": await publishes(target.suite, window, seconds) for window in WINDOWS
        }
        found["prices_us"] = await prices(target.suite, seconds)
    return found


async def commits(suite: Instance, seconds: float) -> float:
    """Single-row inserts per second, each with its own commit, on eight connections."""
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
    """Persistent messages per second confirmed by a quorum queue, with `window` in flight."""
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
