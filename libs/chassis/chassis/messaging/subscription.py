"""One consumer on one channel, from its start to its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiormq
import structlog
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractIncomingMessage

from chassis.broker import (
    CALL_TIMEOUT,
    Broker,
    BrokerLost,
    TopologyMismatch,
    queue_exists,
    translate_errors,
)
from chassis.messaging.linger import AdaptiveLinger

log = structlog.get_logger()


class SubscriptionEnded(Exception):
    """The channel was closed: the broker redelivers what was not acknowledged on it."""


class Subscription:
    """The deliveries of a queue, and which of them are in flight.

    Deliveries that were not taken when it ends are dropped, since the broker redelivers them.
    """

    def __init__(self, channel: aiormq.Channel, linger: AdaptiveLinger) -> None:
        self._channel = channel
        self._linger = linger
        self._arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        # Time of arrival by delivery tag, in order, on the monotonic clock.
        self._in_flight: dict[int, float] = {}
        self._tag: str | None = None
        self.reason: str | None = None
        channel.closing.add_done_callback(lambda _: self.end("the channel was closed"))

    async def start(self, queue: str, prefetch: int) -> None:
        """Start consuming. Raises BrokerLost."""
        self._channel.on_consumer_cancel_callbacks.add(
            lambda _: self.end("the broker cancelled the consumer")
        )
        with translate_errors():
            async with asyncio.timeout(CALL_TIMEOUT):
                await self._channel.basic_qos(prefetch_count=prefetch)
                started = await self._channel.basic_consume(queue, self._arrive)
        self._tag = started.consumer_tag

    async def _arrive(self, delivered: aiormq.abc.DeliveredMessage) -> None:
        if self.reason is None:
            message, now = IncomingMessage(delivered), time.monotonic()
            self._linger.record_arrival(now)
            self._in_flight[message.delivery_tag or 0] = now
            self._arrived.put_nowait(message)

    def end(self, reason: str) -> None:
        """Return no more messages; handling in progress continues."""
        if self.reason is None:
            self.reason = reason
            while not self._arrived.empty():
                self._arrived.get_nowait()
            self._arrived.put_nowait(None)

    async def take(self) -> AbstractIncomingMessage:
        """The next message. Raises SubscriptionEnded."""
        message = await self._arrived.get()
        if message is None:
            self._arrived.put_nowait(None)
            raise SubscriptionEnded(self.reason)
        return message

    def take_more(self, most: int) -> list[AbstractIncomingMessage]:
        """The other messages that have arrived, at most `most`."""
        found: list[AbstractIncomingMessage] = []
        while len(found) < most and self.waiting:
            message = self._arrived.get_nowait()
            if message is not None:
                found.append(message)
        return found

    @property
    def waiting(self) -> int:
        """The number of messages that have arrived and were not taken."""
        return 0 if self.reason is not None else self._arrived.qsize()

    @property
    def is_open(self) -> bool:
        """Whether the broker delivers messages to it."""
        return self.reason is None and self._tag is not None

    @property
    def oldest(self) -> float:
        """The age of the oldest delivery in flight, in seconds."""
        return time.monotonic() - next(iter(self._in_flight.values()), time.monotonic())

    async def cancel(self) -> None:
        """Cancel the consumer; deliveries in flight can still be acknowledged."""
        tag, self._tag = self._tag, None
        if tag is not None:
            try:
                with translate_errors():
                    async with asyncio.timeout(CALL_TIMEOUT):
                        await self._channel.basic_cancel(tag)
            except BrokerLost as error:
                log.info("the consumer had ended already", error=str(error))

    async def acknowledge(self, messages: Sequence[AbstractIncomingMessage]) -> None:
        """Acknowledge messages, by one cumulative ack where it covers no others in flight."""
        tags = [message.delivery_tag or 0 for message in messages]
        highest = max(tags, default=0)
        covered = 0
        for tag in self._in_flight:
            if tag > highest:
                break
            covered += 1
        if len(tags) > 1 and covered == len(tags):
            await self._acknowledge(highest, multiple=True)
        else:
            for tag in tags:
                await self._acknowledge(tag)
        for tag in tags:
            self._in_flight.pop(tag, None)

    async def _acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        try:
            with translate_errors():
                await self._channel.basic_ack(tag, multiple=multiple)
        except BrokerLost as error:
            # The effect is committed: the broker redelivers the message and the inbox ignores it.
            log.info("ack lost, the inbox will ignore the redelivery", error=str(error))


@asynccontextmanager
async def subscribe(
    broker: Broker, queue: str, prefetch: int, linger: AdaptiveLinger
) -> AsyncIterator[Subscription]:
    """Consume a queue on a new channel, which is closed at the end.

    Waits until the broker is available. Raises TopologyMismatch without such a queue; BrokerLost.
    """
    async with broker.channel() as channel:
        if not await queue_exists(channel, queue):
            raise TopologyMismatch(
                f"the broker has no queue {queue} that this service needs. "
                "Import deploy/rabbitmq/definitions.json first."
            )
        subscription = Subscription(channel, linger)
        try:
            await subscription.start(queue, prefetch)
            yield subscription
        finally:
            subscription.end("the consumer stopped")
