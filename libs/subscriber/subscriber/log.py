"""Reading `events.log`, the stream of all events that were ever said (90 days by default)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from contracts.envelope import Envelope
from subscriber.delivery import Raw

QUEUE = "events.log"
PREFETCH = 500
HEARTBEAT = 10
CONNECT_TIMEOUT = 10.0

# Where to begin: the oldest event kept, an offset, a moment (the log keeps times in blocks, so
# events a little before it may come too), or what is said from now on.
Start = int | datetime | Literal["next"] | None


class LogEnded(Exception):
    """The connection to the log was lost; read on from the offset after the last one."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One event of the log. Offsets rise, and never change; `data` are the bytes as sent."""

    offset: int
    envelope: Envelope
    data: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """The log, as the user in `url` (`amqp://…`) may read it."""

    url: str
    queue: str = QUEUE

    async def read(
        self,
        start: Start = None,
        *,
        until: int | None = None,
        batch: int = PREFETCH,
        linger: float = 0.0,
    ) -> AsyncIterator[Sequence[Logged]]:
        """Batches of events from `start` on, waiting for new ones, or up to the offset `until`.

        A first event waits `linger` seconds for others to come in one batch with it.
        Raises LogEnded when the connection is lost, aio-pika's errors when it cannot be made.
        """
        connection = await _connect(self.url)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=PREFETCH)
            arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
            channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
            await _consume(channel, self.queue, arrived, "first" if start is None else start)
            if until is not None and await _nothing_comes(channel, self.queue, arrived):
                return
            while True:
                messages = [await arrived.get()]
                if linger and arrived.qsize() < batch:
                    await asyncio.sleep(linger)
                while len(messages) < batch and not arrived.empty():
                    messages.append(arrived.get_nowait())
                taken = [message for message in messages if message is not None]
                events = [logged(message) for message in taken]
                wanted = [each for each in events if until is None or each.offset <= until]
                if wanted:
                    yield wanted
                if taken:
                    await taken[-1].ack(multiple=True)
                if until is not None and events and events[-1].offset >= until:
                    return
                if len(taken) < len(messages):
                    raise LogEnded(self.queue)

    async def end(self) -> int | None:
        """The offset of the newest event, or None in an empty log."""
        connection = await _connect(self.url)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=PREFETCH)
            arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
            await _consume(channel, self.queue, arrived, "last")
            if await _nothing_comes(channel, self.queue, arrived):
                return None
            newest: int | None = None
            while not arrived.empty():
                message = arrived.get_nowait()
                if message is not None:
                    newest = max(newest or 0, offset_of(message))
            return newest

    async def between(self, envelope: Envelope, known: int) -> Sequence[Raw]:
        """The events of the envelope's aggregate after number `known` and before its own.

        Reads the whole log that is kept: for a system without access to the feed.
        """
        found: dict[int, Raw] = {}
        until = await self.end()
        if until is None or envelope.sequence is None:
            return []
        async for events in self.read(until=until):
            for each in events:
                number = each.envelope.sequence
                mine = (each.envelope.source, each.envelope.subject)
                if mine == (envelope.source, envelope.subject) and number is not None:
                    found[number] = (each.envelope, each.data)
        return [found[n] for n in sorted(found) if known < n < envelope.sequence]


def logged(message: AbstractIncomingMessage) -> Logged:
    """What the log holds of an event; raises BadEnvelope when it is none."""
    return Logged(offset_of(message), Envelope.of(message.headers), message.body)


def offset_of(message: AbstractIncomingMessage) -> int:
    """The position in the log."""
    return int(str(message.headers["x-stream-offset"]))


async def _connect(url: str) -> aio_pika.abc.AbstractConnection:
    # Not a robust connection: one that comes back would read from where it first began.
    return await aio_pika.connect(url, timeout=CONNECT_TIMEOUT, heartbeat=HEARTBEAT)


async def _consume(
    channel: AbstractChannel,
    name: str,
    arrived: "asyncio.Queue[AbstractIncomingMessage | None]",
    start: str | int | datetime,
) -> None:
    queue = await channel.get_queue(name, ensure=False)
    await queue.consume(arrived.put, arguments={"x-stream-offset": start})


async def _nothing_comes(
    channel: AbstractChannel,
    name: str,
    arrived: "asyncio.Queue[AbstractIncomingMessage | None]",
) -> bool:
    """Whether the log holds nothing from where we began.

    The broker sends what there is, block by block and as far as the prefetch allows, before it
    answers what is asked afterwards on the same channel.
    """
    for _ in range(2):
        await channel.get_queue(name, ensure=True)
    return arrived.empty()
