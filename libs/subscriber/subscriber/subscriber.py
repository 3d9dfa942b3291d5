"""The subscriber: consumes one queue of another system and calls its handlers."""

import asyncio
import contextlib
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ProbableAuthenticationError,
)

from contracts import registry
from contracts.envelope import BadEnvelope, Envelope
from contracts.message import Event, Snapshot
from subscriber.delivery import Delivery, Gap, History, Inbox
from subscriber.feed import Feed
from subscriber.log import QUEUE as EVENTS_LOG
from subscriber.log import Log
from subscriber.queues import Names, Queues

log = logging.getLogger("subscriber")

Handler = Callable[[Any, Delivery], Awaitable[None]]
HandlerFunction = TypeVar("HandlerFunction", bound=Handler)

HEARTBEAT = 10
CONNECT_TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CHECK_EVERY = 5.0


class Undecodable(Exception):
    """The event does not match its type; it becomes a dead letter at once."""


@dataclass
class Subscriber:
    """Consumes the queue `ext.<system>.<queue>` as the broker user in `url`.

    inbox: makes each event take effect once; see `subscriber.inbox`, or pass your own callable.
    history: the Feed or Log from which missing events are read when the inbox raises Gap.
    log: the stream that `replay` reads.
    retry_tiers: delays in seconds before a failed event is retried; then it becomes a dead letter.
    """

    system: str
    url: str
    inbox: Inbox
    queue: str = "events"
    history: History | None = None
    retry_tiers: tuple[float, ...] = (5, 30, 300)
    prefetch: int = 100
    log: str = EVENTS_LOG
    handlers: dict[type[Event], Handler] = field(default_factory=dict)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    _keys: frozenset[str] = frozenset()

    def handles(self, *events: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
        """Handle events: `async (event, delivery) -> None`. Raise to have the event retried."""

        def register(function: HandlerFunction) -> HandlerFunction:
            for event in events:
                if event in self.handlers:
                    raise TypeError(f"{event.__name__} already has a handler")
                self.handlers[event] = function
            self._keys = frozenset()
            return function

        return register

    @property
    def keys(self) -> frozenset[str]:
        """The routing keys to bind; an inbox in order needs all types of the handled aggregates."""
        if self._keys:
            return self._keys
        kinds = set(self.handlers)
        if getattr(self.inbox, "in_order", False):
            sources = {event.source() for event in kinds}
            known = registry.all_messages().values()
            kinds |= {e for e in known if issubclass(e, Event) and e.source() in sources}
        self._keys = frozenset(event.routing_key() for event in kinds)
        return self._keys

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Consume until `stop` is set, and reconnect whenever the connection is lost.

        Finishes the event in flight when it stops. Raises for a wrong queue or password at once.
        """
        stop = stop or asyncio.Event()
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                await self._consume(stop)
                pause = FIRST_PAUSE
            except (ProbableAuthenticationError, ChannelAccessRefused, ChannelNotFoundEntity):
                raise
            except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
                log.warning("broker unavailable, reconnecting: %r", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            finally:
                self.listening.clear()

    async def replay(self, since: datetime | int | None = None) -> int | None:
        """Handle the events of the log from a time, an offset or its beginning to its end.

        Returns the last offset read. Events that the inbox knows have no effect; events without a
        handler are skipped.
        """
        events = Log(self.url, self.log)
        until = await events.end()
        if until is None or (isinstance(since, int) and since > until):
            return until
        async for batch in events.read(since, until=until):
            for each in batch:
                await self.take(each.envelope, each.data, replayed=True)
        return until

    async def rebuild(self, stop: asyncio.Event, since: datetime | None = None) -> None:
        """Cold start: replay the log, then consume, then replay what was published in between."""
        last = await self.replay(since)
        consuming = asyncio.create_task(self.run(stop))
        listening = asyncio.create_task(self.listening.wait())
        await asyncio.wait([listening, consuming], return_when=FIRST_COMPLETED)
        listening.cancel()
        await self.replay(since if last is None else last + 1)
        await consuming

    async def bootstrap(self, stop: asyncio.Event, feed: Feed) -> None:
        """Cold start from the owners' current state, independent of the log; then consume.

        Requests all snapshots whose `…Snapshot` class has a handler. They arrive in this queue,
        beside live events; the highest sequence wins.
        """
        wanted = [kind for kind in self.handlers if issubclass(kind, Snapshot)]
        consuming = asyncio.create_task(self.run(stop))
        listening = asyncio.create_task(self.listening.wait())
        await asyncio.wait([listening, consuming], return_when=FIRST_COMPLETED)
        listening.cancel()
        if not consuming.done():
            await feed.request_snapshots([kind.routing_key() for kind in wanted], self.queue)
        await consuming

    async def redrive(self, limit: int = 1000) -> int:
        """Republish dead letters to the queue; returns their number."""
        async with await self._connect() as connection:
            return await (await self._queues(connection)).redrive(limit)

    async def take(self, envelope: Envelope, data: bytes, *, replayed: bool = False) -> bool:
        """Handle one event through the inbox, after filling a gap before it; returns if it was new.

        Raises the handler's exception, Undecodable, or Gap when the history lacks events too.
        """
        kind = registry.find(envelope.type)
        if kind is None or kind.routing_key() not in self.keys:
            return False
        try:
            return await self._once(envelope, data, replayed=replayed)
        except Gap as gap:
            if self.history is None:
                raise
            for missing, body in await self.history.between(envelope, gap.known):
                await self._once(missing, body, replayed=True)
            return await self._once(envelope, data, replayed=replayed)

    async def _once(self, envelope: Envelope, data: bytes, *, replayed: bool) -> bool:
        kind = registry.MESSAGES[envelope.type]
        handler = self.handlers.get(cast("type[Event]", kind))

        async def work(tx: Any) -> None:
            if handler is not None:
                try:
                    event = kind.decode(data)
                except ValueError as error:
                    raise Undecodable(f"{envelope.type} {envelope.id}: {error}") from None
                await handler(event, Delivery(envelope, tx, replayed))

        return await self.inbox(envelope, work)

    async def _connect(self) -> aio_pika.abc.AbstractConnection:
        return await aio_pika.connect(
            self.url,
            timeout=CONNECT_TIMEOUT,
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": f"{self.system}.{self.queue}"},
        )

    async def _queues(self, connection: aio_pika.abc.AbstractConnection) -> Queues:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.set_qos(prefetch_count=self.prefetch)
        return Queues(Names(self.system, self.queue), channel, self.retry_tiers)

    async def _consume(self, stop: asyncio.Event) -> None:
        """Consume events one at a time until the connection is lost or `stop` is set."""
        async with await self._connect() as connection:
            queues = await self._queues(connection)
            queue = await queues.bind(self.keys)
            arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
            tag = await queue.consume(arrived.put)
            self.listening.set()
            ends = [asyncio.create_task(stop.wait()), asyncio.create_task(_watch(queue, tag))]
            next_event = asyncio.create_task(arrived.get())
            try:
                while not stop.is_set():
                    done, _ = await asyncio.wait([next_event, *ends], return_when=FIRST_COMPLETED)
                    if next_event in done:
                        await self._settle(queues, next_event.result())
                        next_event = asyncio.create_task(arrived.get())
                    elif ends[1] in done:
                        await ends[1]
            finally:
                # Events that were not handled return to the queue when the connection closes.
                for task in (next_event, *ends):
                    task.cancel()

    async def _settle(self, queues: Queues, raw: AbstractIncomingMessage) -> None:
        """Handle one event and acknowledge it, or publish it for a retry."""
        try:
            await self.take(Envelope.of(raw.headers), raw.body)
        except Exception as error:  # noqa: BLE001
            final = isinstance(error, BadEnvelope | Undecodable)
            place = await queues.fail(raw, error, final=final)
            log.warning("event %s failed, now in %s: %r", raw.message_id, place, error)
        else:
            await raw.ack()


async def _watch(queue: AbstractQueue, tag: str) -> None:
    """Raise ConnectionError when the broker cancels the consumer or the connection is lost."""
    channel = cast("aiormq.Channel", await queue.channel.get_underlay_channel())
    while not channel.is_closed and tag in channel.consumers:
        await asyncio.wait([channel.closing], timeout=CHECK_EVERY)
    raise ConnectionError(f"the broker cancelled the consumer of {queue.name}")
