"""The measures of the message path: throughput of relay and inbox, latency, and order."""

import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import httpx

from bench import accounting
from bench.figures import percentile
from bench.messages.fixtures import (
    AGGREGATES,
    CONSUMER,
    PRODUCER,
    Fixtures,
    Worker,
    fixtures_on,
)
from bench.target import until
from suite.instance import Instance

Json = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)

OUTBOX_ROWS = "select count(*) from outbox"
# A transaction that fails leaves a gap in `place`, so rows are counted and places only order them.
LAST_PLACE = "select coalesce(max(place), 0) from consumed"
CONSUMED_ROWS = "select count(*) from consumed where place > $1"
CONSUMED = "select order_id, sequence, at from consumed where place > $1 order by place"
PUBLISHED = "select order_id, sequence, at from published"
SENT = re.compile(r'^messaging_client_sent_messages_total{outcome="confirmed"} (\S+)', re.MULTILINE)
# The first messages open connections and plan statements: this share of them is not timed.
WARM_UP = 0.1


@dataclass(frozen=True)
class Sizes:
    """The numbers of messages: in a full outbox, timed (at a rate), and ordered (per relay)."""

    full: int = 20_000
    timed: int = 500
    rate: float = 50.0
    ordered: int = 1_000
    relays: int = 4


STANDARD = Sizes()


async def message_path(
    suite: Instance, report: Callable[[str], None], sizes: Sizes = STANDARD
) -> Json:
    """Run every measure on the servers of an instance, and drop the fixtures afterwards."""
    report("the message path alone: a full outbox, then a full queue")
    async with fixtures_on(suite) as fixtures:
        relay = await relayed(fixtures, sizes.full)
        report(f"relay: {relay['messages_per_s']:,.0f} messages/s")
        inbox = await received(fixtures, sizes.full)
        report(f"inbox: {inbox['messages_per_s']:,.0f} messages/s")
        timed = await commit_to_consumer(fixtures, sizes.timed, sizes.rate)
        report(f"commit to consumer: p50 {timed['p50_ms']} ms, p99 {timed['p99_ms']} ms")
        ordered = await in_order(fixtures, sizes.relays, sizes.ordered)
        report(f"{sizes.relays} relays: {ordered['inversions']} inversions")
    return {
        "relay": relay,
        "inbox": inbox,
        "commit_to_consumer": timed,
        "relays_in_order": ordered,
    }


async def relayed(fixtures: Fixtures, messages: int) -> Json:
    """One relay publishes a full outbox to the queue, which has no consumer yet."""
    await fixtures.run("fill", PRODUCER, fill_count=messages)
    async with fixtures.reading(PRODUCER) as database, fixtures.running(PRODUCER) as worker:
        return await _rate(fixtures, lambda: database.fetchval(OUTBOX_ROWS), messages, worker)


async def received(fixtures: Fixtures, messages: int) -> Json:
    """One consumer empties a full queue: in batches through the inbox, one statement per batch."""
    async with fixtures.reading(CONSUMER) as database, fixtures.running(CONSUMER) as worker:

        async def waiting() -> int:
            return messages - int(await database.fetchval(CONSUMED_ROWS, 0))

        return await _rate(fixtures, waiting, messages, worker)


async def _rate(
    fixtures: Fixtures, waiting: Callable[[], Awaitable[int]], messages: int, worker: Worker
) -> Json:
    """Messages per second, from the first poll that finds some gone to the one that finds none."""
    left = messages

    async def has_begun() -> bool:
        nonlocal left
        left = await waiting()
        return left < messages

    async def is_done() -> bool:
        return await waiting() <= 0

    await until(has_begun, "the first batch of messages")
    servers = accounting.usage(fixtures.suite)
    began, used, counted = time.perf_counter(), worker.cpu_seconds, left
    await until(is_done, "the last of the messages")
    took, spent = time.perf_counter() - began, worker.cpu_seconds - used
    served = accounting.usage(fixtures.suite).since(servers).by_process
    return {
        "messages": counted,
        "messages_per_s": round(counted / took, 1),
        "cpu_us_per_message": round(spent / counted * 10**6, 1),
        "servers_us_per_message": {
            name: round(served[name] / counted * 10**6, 1) for name in ("postgres", "rabbitmq")
        },
    }


async def commit_to_consumer(fixtures: Fixtures, messages: int, rate: float) -> Json:
    """The time from the commit of an event to the call of its handler, in milliseconds."""
    async with (
        fixtures.reading(PRODUCER) as producer,
        fixtures.reading(CONSUMER) as consumer,
        fixtures.running(CONSUMER) as worker,
    ):
        before = await consumer.fetchval(LAST_PLACE)
        await worker.ready()
        async with fixtures.running(PRODUCER, publish_count=messages, publish_rate=rate):
            consumed = await _consumed(consumer, before, messages)
            await until(lambda: _is_recorded(producer, messages), "the producer's record")
        rows = await producer.fetch(PUBLISHED)
    published = {(row["order_id"], row["sequence"]): row["at"] for row in rows}
    timed = consumed[int(len(consumed) * WARM_UP) :]
    took = sorted((row["at"] - published[row["order_id"], row["sequence"]]) * 1000 for row in timed)
    return {
        "rate_per_s": rate,
        "messages": len(took),
        **{f"p{share}_ms": round(percentile(took, share), 2) for share in (50, 95, 99)},
    }


async def in_order(fixtures: Fixtures, relays: int, messages: int) -> Json:
    """Several relays on one outbox, while each of their processes publishes events."""
    async with (
        fixtures.reading(CONSUMER) as consumer,
        fixtures.running(CONSUMER) as receiver,
        contextlib.AsyncExitStack() as stack,
    ):
        before = await consumer.fetchval(LAST_PLACE)
        await receiver.ready()
        began = time.perf_counter()
        workers = [
            await stack.enter_async_context(fixtures.running(PRODUCER, publish_count=messages))
            for _ in range(relays)
        ]
        rows = await _consumed(consumer, before, relays * messages)
        took = time.perf_counter() - began
        sent = [await _sent(worker) for worker in workers]
    consumed = [(row["order_id"], row["sequence"]) for row in rows]
    return {
        "relays": relays,
        "aggregates": AGGREGATES,
        "messages": len(set(consumed)),
        "repeated": len(consumed) - len(set(consumed)),
        "inversions": inversions(consumed),
        "sent_by_relay": sent,
        "seconds": round(took, 2),
    }


def inversions(events: Iterable[tuple[Key, int]]) -> int:
    """The number of events handled after a later one of their aggregate.

    events: aggregate and sequence, in the order of handling.
    """
    newest: dict[Key, int] = {}
    found = 0
    for aggregate, sequence in events:
        if sequence < newest.get(aggregate, 0):
            found += 1
        else:
            newest[aggregate] = sequence
    return found


async def _consumed(consumer: asyncpg.Connection, before: int, messages: int) -> list[Any]:
    """The rows after a place, once all messages are consumed; raises Unexpected otherwise."""

    async def is_all() -> bool:
        return int(await consumer.fetchval(CONSUMED_ROWS, before)) >= messages

    await until(is_all, f"the arrival of {messages} messages")
    return list(await consumer.fetch(CONSUMED, before))


async def _is_recorded(producer: asyncpg.Connection, messages: int) -> bool:
    return int(await producer.fetchval("select count(*) from published")) >= messages


async def _sent(worker: Worker) -> int:
    """The number of messages that a process's relay published, by its metrics."""
    async with httpx.AsyncClient(trust_env=False) as web:
        page = (await web.get(f"{worker.url}/metrics")).text
    found = SENT.search(page)
    return int(float(found[1])) if found else 0
