"""A tap in front of a service's work queue: what runs through comes out again, late, or shuffled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from impersonation import allow_any_name
from provision.broker import VHOST
from shopfloor import until
from suite.instance import Instance

WINDOW = 50
IDLE = 0.15


@dataclass
class QueueProxy:
    """Sends each message on `times` to `most` times, in the order chance gives a window of 50.

    passed: messages that came in. delivered: messages that went out.
    """

    chance: random.Random
    queue: str
    times: tuple[int, int] = (1, 1)
    shuffles: bool = True
    passed: int = 0
    delivered: int = 0
    _waiting: list[AbstractIncomingMessage] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Hold a message until its window is full or nothing more comes."""
        self.passed += 1
        self._waiting.append(message)
        self._came.set()

    async def run(self, channel: AbstractChannel) -> None:
        """Send on until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            before = -1
            while len(self._waiting) < WINDOW and len(self._waiting) != before:
                before = len(self._waiting)
                await asyncio.sleep(IDLE)
            held, self._waiting = self._waiting[:WINDOW], self._waiting[WINDOW:]
            if self._waiting:
                self._came.set()
            copies = [each for each in held for _ in range(self.chance.randint(*self.times))]
            if self.shuffles:
                self.chance.shuffle(copies)
            for each in copies:
                await channel.default_exchange.publish(copy_of(each), routing_key=self.queue)
            self.delivered += len(copies)
            for each in held:
                await each.ack()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._waiting


def copy_of(message: AbstractIncomingMessage, **changes: Any) -> aio_pika.Message:
    """The same message as its sender sent it, with the same id."""
    headers = {**message.headers, **changes.pop("headers", {})}
    return aio_pika.Message(
        changes.pop("body", message.body),
        headers=headers,
        message_id=message.message_id,
        type=message.type,
        content_type=message.content_type,
        user_id=message.user_id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def bindings_of(instance: Instance, queue: str) -> list[tuple[str, str]]:
    """The exchanges and keys a queue is bound to."""
    async with httpx.AsyncClient(base_url=instance.environment.broker.management_url) as api:
        found = (await api.get(f"/api/queues/{VHOST}/{queue}/bindings")).raise_for_status().json()
    return [(each["source"], each["routing_key"]) for each in found if each["source"]]


@asynccontextmanager
async def tapped(
    instance: Instance, service: str, seed: int, times: tuple[int, int], *, shuffles: bool = True
) -> AsyncIterator[QueueProxy]:
    """Lead everything for a service through a tap; afterwards its queue is bound as it was."""
    await allow_any_name(instance)
    queue = f"svc.{service}"
    bound = await bindings_of(instance, queue)
    tap = QueueProxy(random.Random(f"tap {service} {seed}"), queue, times, shuffles)
    connection = await aio_pika.connect_robust(instance.broker_url())
    async with connection:
        channel = await connection.channel()
        work = await channel.get_queue(queue, ensure=False)
        own = await channel.declare_queue(f"tap.{service}", durable=True, arguments=QUORUM)
        running = asyncio.create_task(tap.run(channel))
        try:
            # Bound here before it is unbound there: twice for a moment, but never nowhere.
            for exchange, routing_key in bound:
                await own.bind(exchange, routing_key)
                await work.unbind(exchange, routing_key)
            tag = await own.consume(tap.take)
            yield tap
        finally:
            for exchange, routing_key in bound:
                await work.bind(exchange, routing_key)
                await own.unbind(exchange, routing_key)
            await until(lambda: _drained(channel, tap))
            await own.cancel(tag)
            running.cancel()
            await own.delete(if_unused=False, if_empty=False)


QUORUM = {"x-queue-type": "quorum"}


async def _drained(channel: AbstractChannel, tap: QueueProxy) -> bool:
    own = tap.queue.replace("svc.", "tap.")
    found = await channel.declare_queue(own, passive=True)
    return tap.is_empty and not found.declaration_result.message_count
