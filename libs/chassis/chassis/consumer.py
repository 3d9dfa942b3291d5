"""The consumer: takes batches from the one work queue, acknowledges, retries, dead-letters."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustQueue
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from chassis import inbox, incoming, metrics
from chassis.broker import Broker
from chassis.bus import Bus, Delivery
from chassis.company import Company
from chassis.db import Database
from chassis.driver_errors import ErrorKind, classify, is_outage
from chassis.incoming import Undeliverable
from chassis.lanes import Lanes

log = structlog.get_logger()

PUBLISH_TIMEOUT = 5.0
LONGEST_PAUSE = 5.0
CHECK_TIMEOUT = 1.0
EXTERNAL_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Arrival:
    """A raw message with what was read from it."""

    raw: AbstractIncomingMessage
    delivery: Delivery


@dataclass
class Consumer:
    """Consumes `svc.<service>`. Counters are since the start of the process.

    A batch waits `batch_linger` for more only while messages come often.
    """

    bus: Bus[Any]
    database: Database
    broker: Broker
    retry_tiers: Sequence[float]
    batch_size: int = 50
    batch_linger: float = 0.005
    unhurried_linger: float = 0.2
    prefetch: int = 200
    handled: int = 0
    retried: int = 0
    _arrived: asyncio.Queue[AbstractIncomingMessage] = field(default_factory=asyncio.Queue)
    _company: Company = field(default_factory=Company)
    _lanes: Lanes = field(default_factory=lambda: Lanes(EXTERNAL_AT_ONCE))
    _queue: AbstractRobustQueue | None = None
    _tag: str | None = None
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _oldest: UUID | None = None
    _draining: bool = False

    async def is_consuming(self) -> bool:
        """Whether the broker would hand this process a message now."""
        if self._queue is None or self._tag is None or not self.broker.is_up:
            return False
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                channel = await self._queue.channel.get_underlay_channel()
        except (AMQPError, OSError, RuntimeError, TimeoutError):
            return False
        # The broker takes a consumer away when its queue is gone, and the connection stands.
        return self._tag in cast("aiormq.Channel", channel).consumers

    async def run(self) -> None:
        """Consume until cancelled. Raises TopologyMismatch when the queue is not as expected."""
        self._idle.set()
        await self._forget_old()
        self._queue = await self.broker.queue(f"svc.{self.bus.service}", self.prefetch)
        self._tag = await self._queue.consume(self._arrive)
        log.info("consuming", queue=self._queue.name)
        while True:
            first = await self._arrived.get()
            if self._draining:
                # Nobody acknowledges it, so the broker hands it to somebody else.
                await asyncio.Event().wait()
            self._idle.clear()
            await self._take(await self._collect(first))
            self._idle.set()

    async def _arrive(self, raw: AbstractIncomingMessage) -> None:
        self._company.came(time.monotonic())
        self._arrived.put_nowait(raw)

    async def drain(self) -> None:
        """Take no more messages and finish what is in flight; the rest goes back to the queue."""
        self._draining = True
        if self._queue is not None and self._tag is not None:
            tag, self._tag = self._tag, None
            try:
                await self._queue.cancel(tag)
            except (AMQPError, OSError, RuntimeError) as error:
                log.info("consumer was gone already", error=repr(error))
        await self._idle.wait()
        await self._lanes.finished()

    async def _forget_old(self) -> None:
        async with self.database.transaction() as session:
            self._oldest = await inbox.oldest(session)

    async def _collect(self, first: AbstractIncomingMessage) -> list[AbstractIncomingMessage]:
        """The first message and what arrives within the linger, up to a batch."""
        batch = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout(self.unhurried_linger):
                while batch[-1].type in self.bus.unhurried and len(batch) < self.batch_size:
                    batch.append(await self._arrived.get())
        if self._is_worth_waiting(batch):
            await asyncio.sleep(self.batch_linger)
        while len(batch) < self.batch_size and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return batch

    def _is_worth_waiting(self, batch: Sequence[AbstractIncomingMessage]) -> bool:
        """Whether a batch ends with a message that is waited for, has room, and may get more."""
        has_room = len(batch) + self._arrived.qsize() < self.batch_size
        is_waited_for = batch[-1].type not in self.bus.unhurried
        return is_waited_for and has_room and self._company.is_worth_waiting_for()

    async def _take(self, batch: Sequence[AbstractIncomingMessage]) -> None:
        together: list[Arrival] = []
        settled: list[AbstractIncomingMessage] = []
        for raw in batch:
            try:
                delivery = await self._read(raw)
            except Undeliverable as error:
                await self._fail(raw, error)
                continue
            if type(delivery.message) in self.bus.external:
                arrival = Arrival(raw, delivery)
                self._lanes.start(delivery.envelope.correlation_id, self._external(arrival))
            else:
                together.append(Arrival(raw, delivery))
        if together:
            settled = await self._together(together)
        await self._acknowledge(settled)

    async def _read(self, raw: AbstractIncomingMessage) -> Delivery:
        delivery = incoming.read(raw, self.bus)
        if self._is_too_old(delivery):
            # An operator may have let older ones in since this was last asked.
            await self._patiently(self._forget_old)
        if self._is_too_old(delivery):
            raise Undeliverable(f"the message is older than the inbox: {delivery.envelope.id}")
        return delivery

    def _is_too_old(self, delivery: Delivery) -> bool:
        return self._oldest is not None and delivery.envelope.id < self._oldest

    async def _together(self, batch: Sequence[Arrival]) -> list[AbstractIncomingMessage]:
        """Handle a batch in one transaction; if it fails, each alone: one poison fails alone."""
        try:
            deliveries = [arrival.delivery for arrival in batch]
            await self._patiently(lambda: self.bus.receive(self.database, deliveries))
        except Exception as error:  # noqa: BLE001
            if len(batch) == 1:
                await self._fail(batch[0].raw, error)
                return []
            log.info("batch replayed one by one", size=len(batch), error=repr(error))
        else:
            self.handled += len(batch)
            return [arrival.raw for arrival in batch]
        settled: list[AbstractIncomingMessage] = []
        for arrival in batch:
            settled += await self._together([arrival])
        return settled

    async def _patiently(self, handle: Callable[[], Awaitable[None]]) -> None:
        """Handle; during an outage of the database keep messages and attempts, and repeat."""
        pause = 0.1
        while True:
            try:
                await handle()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("database away, messages kept", error=repr(error)[:200])
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    async def _external(self, arrival: Arrival) -> None:
        try:
            await self._patiently(
                lambda: self.bus.receive_by_calling(self.database, arrival.delivery)
            )
        except Exception as error:  # noqa: BLE001
            await self._fail(arrival.raw, error)
        else:
            self.handled += 1
            metrics.took_effect(arrival.delivery.key, arrival.delivery.envelope, time.time())
            await self._settle(arrival.raw)

    async def _acknowledge(self, settled: Sequence[AbstractIncomingMessage]) -> None:
        """One cumulative ack when nothing else of the channel is open, else one by one."""
        if len(settled) > 1 and not self._lanes.busy:
            channels = {id(raw.channel) for raw in settled}
            if len(channels) == 1 and len(settled) == self._open_before(settled):
                await self._settle(
                    max(settled, key=lambda raw: raw.delivery_tag or 0), multiple=True
                )
                return
        for raw in settled:
            await self._settle(raw)

    def _open_before(self, settled: Sequence[AbstractIncomingMessage]) -> int:
        """How many tags an ack up to the highest would cover beyond the lowest settled."""
        tags = [raw.delivery_tag or 0 for raw in settled]
        return max(tags) - min(tags) + 1

    async def _settle(self, raw: AbstractIncomingMessage, *, multiple: bool = False) -> None:
        try:
            await raw.ack(multiple=multiple)
        except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
            # The effect is committed; the broker delivers again and the inbox knows the message.
            log.info("ack lost, the inbox will notice the repeat", error=repr(error))

    async def _fail(self, raw: AbstractIncomingMessage, error: BaseException) -> None:
        """Send a message to its next retry tier or the dead letters, then take it off the queue.

        Only a fault counts as an attempt; after a foreign lock the message waits in the first tier.
        """
        is_fault = classify(error) is ErrorKind.FAULT
        attempt = incoming.attempts_of(raw) + is_fault
        final = isinstance(error, Undeliverable) or attempt > len(self.retry_tiers)
        tier = attempt if is_fault else 1
        headers = {
            key: value for key, value in raw.headers.items() if not key.startswith("x-death")
        } | incoming.failure_headers(raw, error, self.bus.service, attempt)
        message = aio_pika.Message(
            raw.body,
            headers=cast("dict[str, Any]", headers),
            message_id=raw.message_id,
            type=raw.type,
            content_type=raw.content_type,
            user_id=self.bus.service,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            expiration=None if final else timedelta(seconds=self.retry_tiers[tier - 1]),
        )
        try:
            exchange = await self.broker.exchange(f"svc.{self.bus.service}.retry")
            await exchange.publish(
                message,
                routing_key="dead" if final else str(tier),
                mandatory=True,
                timeout=PUBLISH_TIMEOUT,
            )
        except Exception as publish_error:  # noqa: BLE001
            # The broker keeps the unacknowledged message and delivers it again.
            log.warning("retry not published", error=repr(publish_error))
            await self._give_back(raw)
            return
        self.retried += not final
        metrics.not_handled(incoming.name_of(raw), final=final)
        log.log(
            40 if final else 30,
            "message dead-lettered" if final else "message will be retried",
            message_id=raw.message_id,
            attempt=attempt,
            error=headers[incoming.ERROR],
            detail=headers[incoming.ERROR_DETAIL],
        )
        await self._settle(raw)

    async def _give_back(self, raw: AbstractIncomingMessage) -> None:
        try:
            await raw.reject(requeue=True)
        except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
            log.info("reject lost, the broker delivers again", error=repr(error))
