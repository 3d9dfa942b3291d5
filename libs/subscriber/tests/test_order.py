"""Each aggregate's events are first seen in order, however often connections are lost."""

import asyncio
from collections import defaultdict
from typing import Any

import aio_pika
from foreign import Shop, cancelled, placed, running, shipped, until

from cartwright.access import ORDERED, QUORUM
from chassis.ids import new_id
from contracts.envelope import Envelope
from contracts.orders import OrderCancelled, OrderPlaced, OrderShipped
from subscriber import Subscriber, Work

ORDERS, ROUNDS = 20, 5
HELD = 10


class Seen:
    """An inbox that records the sequences of each aggregate in order of first arrival."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[int]] = defaultdict(list)

    async def __call__(self, envelope: Envelope, work: Work) -> bool:
        numbers = self.numbers[envelope.subject]
        if is_new := envelope.sequence not in numbers:
            numbers.append(envelope.sequence or 0)
            await work(None)
        return is_new

    def count(self) -> int:
        return sum(map(len, self.numbers.values()))

    def out_of_order(self) -> list[list[int]]:
        return [each for each in self.numbers.values() if each != sorted(each)]


def listener(url: str, seen: Seen) -> Subscriber:
    made = Subscriber("billing", url, seen)

    @made.handles(OrderPlaced, OrderShipped, OrderCancelled)
    async def ignore(event: Any, delivery: Any) -> None:
        pass

    return made


async def test_a_new_connection_gets_nothing_while_an_older_one_holds_events(shop: Shop) -> None:
    """As when a connection was lost and the broker does not know it yet."""
    url, seen, order = shop.grant("billing").url, Seen(), new_id()
    lost = await aio_pika.connect(url)
    async with lost:
        channel = await lost.channel()
        await channel.set_qos(prefetch_count=HELD)
        queue = await channel.get_queue("ext.billing.events")
        await queue.bind("events", "orders.#")
        held: asyncio.Queue[Any] = asyncio.Queue()
        await queue.consume(held.put)
        await shop.publish(placed(order), *(shipped(order) for _ in range(2 * HELD)))

        async def holds_all_it_may() -> bool:
            return held.qsize() == HELD

        await until(holds_all_it_may)
        async with running(listener(url, seen)):
            await shop.publish(cancelled(order))
            await lost.close()

            async def all_seen() -> bool:
                return seen.count() == 2 * HELD + 2

            await until(all_seen)
    assert seen.out_of_order() == []


async def test_the_first_times_are_in_order_while_connections_are_closed_again_and_again(
    shop: Shop,
) -> None:
    seen, orders = Seen(), [new_id() for _ in range(ORDERS)]
    api = shop.access.api

    async def closed() -> bool:
        mine = [c for c in api.get("/api/connections").json() if c.get("user") == "ext.billing"]
        return sum(api.delete(f"/api/connections/{c['name']}").is_success for c in mine) > 0

    async with running(listener(shop.grant("billing").url, seen)):
        for number in range(1, ROUNDS + 1):
            await shop.publish(*(placed(order) for order in orders))
            await until(closed)
            await shop.publish(*(shipped(order) for order in orders))

            async def all_seen(total: int = 2 * ORDERS * number) -> bool:
                return seen.count() == total

            await until(all_seen)
    assert seen.out_of_order() == []


async def test_a_queue_made_without_it_is_unchanged_and_named(shop: Shop) -> None:
    api, vhost = shop.access.api, shop.access.vhost
    queue = f"/api/queues/{vhost}/ext.billing.events"
    api.put(queue, json={"durable": True, "arguments": QUORUM}).raise_for_status()
    assert shop.grant("billing").unordered == ("ext.billing.events",)
    assert api.get(queue).json()["arguments"] == QUORUM
    shop.access.remove("billing")
    assert shop.grant("billing").unordered == ()
    assert api.get(queue).json()["arguments"] == QUORUM | {ORDERED: True}
