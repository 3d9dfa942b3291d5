"""Reads `events.log`, the stream of all events (retained for 90 days by default)."""

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

# Where to start: None for the oldest retained event, an offset, a time (slightly earlier events may
# be returned too, since the log stores times by chunk), or `next` for new events only.
Start = int | datetime | Literal["next"] | None


class LogEnded(Exception):
    """The connection to the log was lost; continue from the offset after the last one."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of the log. Offsets increase and never change; `data` are the published bytes."""

    offset: int
    envelope: Envelope
    data: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """The log, read as the user in `url` (`amqp://…`)."""

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

        The first event waits `linger` seconds for others, to return them in one batch.
        Raises LogEnded when the connection is lost, and aio-pika's errors when it fails to open.
        """
        connection = await _connect(self.url)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=PREFETCH)
            arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
            channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
            await _consume(channel, self.queue, arrived, "first" if start is None else start)
            if until is not None and await _is_empty(channel, self.queue, arrived):
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
            if await _is_empty(channel, self.queue, arrived):
                return None
            newest: int | None = None
            while not arrived.empty():
                message = arrived.get_nowait()
                if message is not None:
                    newest = max(newest or 0, offset_of(message))
            return newest

    async def between(self, envelope: Envelope, known: int) -> Sequence[Raw]:
        """The events of the envelope's aggregate after number `known` and before its own.

        Reads the whole log; for a system without access to the feed.
        """
        found: dict[int, Raw] = {}
        until = await self.end()
        if until is None or envelope.sequence is None:
            return []
        async for events in self.read(until=until):
            for each in events:
                number = each.envelope.sequence
                aggregate = (each.envelope.source, each.envelope.subject)
                if aggregate == (envelope.source, envelope.subject) and number is not None:
                    found[number] = (each.envelope, each.data)
        return [found[n] for n in sorted(found) if known < n < envelope.sequence]


def logged(message: AbstractIncomingMessage) -> Logged:
    """Convert a message. Raises BadEnvelope when it is not an event."""
    return Logged(offset_of(message), Envelope.of(message.headers), message.body)


def offset_of(message: AbstractIncomingMessage) -> int:
    """A message's offset in the log."""
    return int(str(message.headers["x-stream-offset"]))


async def _connect(url: str) -> aio_pika.abc.AbstractConnection:
    # Not a robust connection, which would restart from the first offset after a reconnect.
    return await aio_pika.connect(url, timeout=CONNECT_TIMEOUT, heartbeat=HEARTBEAT)


async def _consume(
    channel: AbstractChannel,
    name: str,
    arrived: "asyncio.Queue[AbstractIncomingMessage | None]",
    start: str | int | datetime,
) -> None:
    queue = await channel.get_queue(name, ensure=False)
    await queue.consume(arrived.put, arguments={"x-stream-offset": start})


async def _is_empty(
    channel: AbstractChannel,
    name: str,
    arrived: "asyncio.Queue[AbstractIncomingMessage | None]",
) -> bool:
    """Whether the log has no messages from the start on.

    The broker delivers what there is, chunk by chunk and up to the prefetch, before it responds to
    later requests on the same channel.
    """
    for _ in range(2):
        await channel.get_queue(name, ensure=True)
    return arrived.empty()
