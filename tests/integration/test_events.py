"""One envelope everywhere: a checkout read from a queue, the log, the feed and files is the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import httpx
import pytest
import pytest_asyncio

from cartwright.access import Broker, broker
from contracts import catalogue, expectations, structured
from contracts.envelope import Envelope
from invariants import InvariantChecker
from shopfloor import Buyer, Staff, ok, until
from subscriber import Feed, Log
from suite.instance import Instance

ROOT = Path(__file__).resolve().parents[2]
EventsById = dict[UUID, tuple[Envelope, bytes]]


@dataclass
class Foreign:
    """Another system with its own user, queue and token."""

    url: str
    feed: Feed
    access: Broker
    connections: list[aio_pika.abc.AbstractConnection] = field(default_factory=list)

    async def queue(self, key: str = "#") -> Callable[[], EventsById]:
        """Bind the queue; gives what reads all that has come by now."""
        received: EventsById = {}
        connection = await aio_pika.connect(self.url)
        self.connections.append(connection)
        channel = await connection.channel()
        mine = await channel.get_queue("ext.warehouse.events")
        await mine.bind("events", key)

        async def note(raw: aio_pika.abc.AbstractIncomingMessage) -> None:
            envelope = Envelope.of(raw.headers)
            received[envelope.id] = (envelope, raw.body)
            await raw.ack()

        await mine.consume(note)
        return lambda: received

    async def log(self) -> EventsById:
        """Every event of the log; of one that a relay sent twice, the first copy, as in the feed."""
        log = Log(self.url)
        until = await log.end()
        events: EventsById = {}
        async for batch in log.read(until=until):
            for each in batch:
                events.setdefault(each.envelope.id, (each.envelope, each.data))
        return events

    async def fed(self, **query: Any) -> EventsById:
        """Everything the feed gives."""
        return {envelope.id: (envelope, data) async for envelope, data in self.feed.read(**query)}


@pytest_asyncio.fixture
async def foreign(instance: Instance, staff: Staff) -> AsyncIterator[Foreign]:
    amqp = f"amqp://127.0.0.1:{instance.environment.ports['rabbitmq']}"
    with broker(instance.environment.broker.management_url, amqp) as access:
        granted = await asyncio.to_thread(access.add, "warehouse", ["events"], 10_000)
        url = "/v1/admin/subscribers/warehouse"
        token = ok(await staff.http.put(url, json={}, headers=staff.headers))["token"]
        feed = Feed(instance.url("gateway"), token)
        system = Foreign(granted.url, feed, access)
        yield system
        for connection in system.connections:
            await connection.close()
        await feed.close()
        await asyncio.to_thread(access.remove, "warehouse")


async def test_one_checkout_is_the_same_wherever_it_is_read(
    staff: Staff, buyer: Buyer, foreign: Foreign, at_rest: InvariantChecker, tmp_path: Path
) -> None:
    queue = await foreign.queue()
    product = await staff.sell(stock=10)
    order = await buyer.buys(product, 2)
    await staff.ended(order["id"])
    await staff.track(order["id"], "shipped", "delivered")

    async def delivered() -> bool:
        types = {envelope.type for envelope, _ in queue().values()}
        return "cartwright.orders.OrderDelivered.v1" in types

    await until(delivered)
    await at_rest.settle()
    received = dict(queue())

    async def in_feed() -> EventsById:
        fed = await foreign.fed()
        return fed if received.keys() <= fed.keys() else {}

    fed, logged = await until(in_feed), await foreign.log()
    files: EventsById = {}
    for envelope, data in received.values():
        file = tmp_path / f"{envelope.id}.json"
        file.write_bytes(structured.write(envelope, data))
        files[envelope.id] = structured.read(file.read_bytes())
    for place in (fed, logged, files):
        assert {each: place[each] for each in received} == received
    mine = [envelope for envelope, _ in received.values() if envelope.subject == order["id"]]
    assert {envelope.correlation_id for envelope in mine} == {order["id"]}
    # The guest bought, the provider's webhook may have come first, and staff tracked the parcel.
    others = {envelope.actor for envelope in mine} - {"guest", "provider:sandbox"}
    assert [actor.partition(":")[0] for actor in others] == ["user"]
    for source in {envelope.source for envelope in mine}:
        numbers = [envelope.sequence or 0 for envelope in mine if envelope.source == source]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), source
    assert await foreign.fed(subject=order["id"], source="/orders/order") == {
        envelope.id: received[envelope.id]
        for envelope in mine
        if envelope.source == "/orders/order"
    }
    assert broken_expectations(received) == []
    golden(received)


def broken_expectations(received: EventsById) -> list[str]:
    """What a consumer relies on and a message that was really sent did not have."""
    relied = [
        each
        for pattern in ("services/*/tests/expects", "libs/chassis/tests/expects")
        for folder in ROOT.glob(pattern)
        for each in expectations.load(folder.parents[1].name, folder)
    ]
    return [
        f"{each.consumer}: {lost}"
        for envelope, data in received.values()
        for each in relied
        if envelope.type == f"cartwright.{each.name}"
        for lost in expectations.missing(json.loads(data), each.data)
    ]


def golden(received: EventsById) -> None:
    """Example files have the attributes that real events have, and data of the same form."""
    for envelope, data in received.values():
        entry = catalogue.find(envelope.type)
        assert entry is not None
        known, _ = structured.read(entry.example)
        assert envelope.attributes().keys() - {"causationid"} == known.attributes().keys()
        lost = expectations.missing(entry.data, json.loads(data))
        assert lost == [], f"{entry.name}: the example has no {lost}"


async def test_the_feed_heals_a_gap_of_the_queue(
    staff: Staff, buyer: Buyer, foreign: Foreign, at_rest: InvariantChecker
) -> None:
    """Bound to one type alone, the queue lacks the order's other events; the feed has them."""
    queue = await foreign.queue("orders.OrderShipped")
    order = await buyer.buys(await staff.sell(stock=5))
    await staff.ended(order["id"])
    await staff.track(order["id"], "shipped")

    async def shipped() -> Any:
        return [envelope for envelope, _ in queue().values() if envelope.subject == order["id"]]

    (late,) = await until(shipped)
    assert late.sequence > 1

    async def healed() -> Any:
        between = await foreign.feed.between(late, 0)
        return between if len(between) == late.sequence - 1 else None

    numbers = [envelope.sequence for envelope, _ in await until(healed)]
    assert numbers == list(range(1, late.sequence))
    from_log = await Log(foreign.url).between(late, 0)
    assert [envelope.sequence for envelope, _ in from_log] == numbers


async def test_the_feed_goes_on_where_it_was_after_it_was_killed(
    instance: Instance, staff: Staff, buyer: Buyer, foreign: Foreign, at_rest: InvariantChecker
) -> None:
    order = await buyer.buys(await staff.sell(stock=5))
    instance.kill("feed")
    second = await buyer.buys(await staff.sell(stock=5))
    for placed in (order, second):
        await staff.ended(placed["id"])
    instance.wait_ready("feed")

    async def caught_up() -> bool:
        try:
            return await foreign.fed() == await foreign.log()
        except httpx.HTTPError:
            return False

    await until(caught_up)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/admin/subscribers"])
async def test_the_feed_is_closed_to_strangers(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"X-Feed-Token": "guess"})
    assert answer.status_code == 401
