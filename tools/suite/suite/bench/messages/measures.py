"""What the way of a message can do: relay and inbox a second, its time, and its order."""

import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from suite.bench import accounting
from suite.bench.figures import percentile
from suite.bench.messages.fixtures import (
    AGGREGATES,
    LISTENER,
    SPEAKER,
    Fixtures,
    Worker,
    fixtures_on,
)
from suite.bench.messages.order import inversions
from suite.bench.target import until
from suite.instance import Instance

Json = dict[str, Any]

WAITING = "select count(*) from outbox"
# Places are given without gaps as long as no transaction fails, and the last is found at once.
LAST = "select coalesce(max(place), 0) from heard"
HEARD = "select order_id, sequence, at from heard where place > $1 order by place"
SAID = "select order_id, sequence, at from said"
SENT = re.compile(r'^messaging_client_sent_messages_total{outcome="confirmed"} (\S+)', re.MULTILINE)
# Connections are opened and plans made by the first messages: this share of them is not timed.
WARM_UP = 0.1


@dataclass(frozen=True)
class Sizes:
    """How much is measured: messages of a full outbox, of the timed ones, and of each relay."""

    full: int = 20_000
    timed: int = 500
    rate: float = 50.0
    ordered: int = 1_000
    relays: int = 4


STANDARD = Sizes()


async def message_path(
    suite: Instance, report: Callable[[str], None], sizes: Sizes = STANDARD
) -> Json:
    """Measure everything on the servers of an instance, and leave nothing there."""
    report("the way of a message alone: a full outbox, then a full queue")
    async with fixtures_on(suite) as ground:
        relay = await relayed(ground, sizes.full)
        report(f"relay: {relay['messages_per_s']:,.0f} messages/s")
        inbox = await received(ground, sizes.full)
        report(f"inbox: {inbox['messages_per_s']:,.0f} messages/s")
        timed = await commit_to_consumer(ground, sizes.timed, sizes.rate)
        report(f"commit to consumer: p50 {timed['p50_ms']} ms, p99 {timed['p99_ms']} ms")
        ordered = await in_order(ground, sizes.relays, sizes.ordered)
        report(f"{sizes.relays} relays: {ordered['inversions']} inversions")
    return {
        "relay": relay,
        "inbox": inbox,
        "commit_to_consumer": timed,
        "relays_in_order": ordered,
    }


async def relayed(ground: Fixtures, messages: int) -> Json:
    """One relay empties a full outbox into the queue; nobody listens yet."""
    await ground.run("fill", SPEAKER, fill_count=messages)
    async with ground.reading(SPEAKER) as database, ground.running(SPEAKER) as worker:
        return await _rate(ground, lambda: database.fetchval(WAITING), messages, worker)


async def received(ground: Fixtures, messages: int) -> Json:
    """One consumer empties a full queue: in batches through the inbox, one statement for each."""
    async with ground.reading(LISTENER) as database, ground.running(LISTENER) as worker:

        async def waiting() -> int:
            return messages - int(await database.fetchval(LAST))

        return await _rate(ground, waiting, messages, worker)


async def _rate(
    ground: Fixtures, waiting: Callable[[], Awaitable[int]], messages: int, worker: Worker
) -> Json:
    """Messages a second, from the first look that finds some gone to the one that finds none."""
    left = messages

    async def has_begun() -> bool:
        nonlocal left
        left = await waiting()
        return left < messages

    async def is_done() -> bool:
        return await waiting() == 0

    await until(has_begun, "the first batch of messages")
    servers = accounting.usage(ground.suite)
    began, used, counted = time.perf_counter(), worker.cpu_seconds, left
    await until(is_done, "the last of the messages")
    took, spent = time.perf_counter() - began, worker.cpu_seconds - used
    served = accounting.usage(ground.suite).since(servers).by_process
    return {
        "messages": counted,
        "messages_per_s": round(counted / took, 1),
        "cpu_us_per_message": round(spent / counted * 10**6, 1),
        "servers_us_per_message": {
            name: round(served[name] / counted * 10**6, 1) for name in ("postgres", "rabbitmq")
        },
    }


async def commit_to_consumer(ground: Fixtures, messages: int, rate: float) -> Json:
    """From the commit that says a message to the call of its handler, in milliseconds."""
    async with (
        ground.reading(SPEAKER) as producer,
        ground.reading(LISTENER) as consumer,
        ground.running(LISTENER) as worker,
    ):
        before = await consumer.fetchval(LAST)
        await worker.ready()
        async with ground.running(SPEAKER, say_count=messages, say_rate=rate):
            heard = await _heard(consumer, before, messages)
            await until(lambda: _is_noted(producer, messages), "the speaker's notes")
        said = {(row["order_id"], row["sequence"]): row["at"] for row in await producer.fetch(SAID)}
    timed = heard[int(len(heard) * WARM_UP) :]
    took = sorted((row["at"] - said[row["order_id"], row["sequence"]]) * 1000 for row in timed)
    return {
        "rate_per_s": rate,
        "messages": len(took),
        **{f"p{share}_ms": round(percentile(took, share), 2) for share in (50, 95, 99)},
    }


async def in_order(ground: Fixtures, relays: int, messages: int) -> Json:
    """Many relays on one outbox, while each of their processes says events of all aggregates."""
    async with (
        ground.reading(LISTENER) as consumer,
        ground.running(LISTENER) as hearing,
        contextlib.AsyncExitStack() as stack,
    ):
        before = await consumer.fetchval(LAST)
        await hearing.ready()
        began = time.perf_counter()
        workers = [
            await stack.enter_async_context(ground.running(SPEAKER, say_count=messages))
            for _ in range(relays)
        ]
        rows = await _heard(consumer, before, relays * messages)
        took = time.perf_counter() - began
        sent = [await _sent(worker) for worker in workers]
    heard = [(row["order_id"], row["sequence"]) for row in rows]
    return {
        "relays": relays,
        "aggregates": AGGREGATES,
        "messages": len(set(heard)),
        "repeated": len(heard) - len(set(heard)),
        "inversions": inversions(heard),
        "sent_by_relay": sent,
        "seconds": round(took, 2),
    }


async def _heard(consumer: asyncpg.Connection, before: int, messages: int) -> list[Any]:
    """What was heard since, once it is everything; raises Unexpected when some never comes."""

    async def is_all() -> bool:
        return int(await consumer.fetchval(LAST)) - before >= messages

    await until(is_all, f"the arrival of {messages} messages")
    return list(await consumer.fetch(HEARD, before))


async def _is_noted(producer: asyncpg.Connection, messages: int) -> bool:
    return int(await producer.fetchval("select count(*) from said")) >= messages


async def _sent(worker: Worker) -> int:
    """How many messages a process's relay had confirmed, as its metrics say."""
    async with httpx.AsyncClient(trust_env=False) as web:
        page = (await web.get(f"{worker.url}/metrics")).text
    found = SENT.search(page)
    return int(float(found[1])) if found else 0
