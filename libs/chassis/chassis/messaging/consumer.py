"""The consumer: takes batches from the one work queue, acknowledges, retries, dead-letters.

It consumes while its database and the broker are there. When one of them is not, it closes its
channel and waits: the broker keeps the messages, nothing counts as an attempt, and what waited is
handled at once afterwards.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from aio_pika.abc import AbstractIncomingMessage

from chassis import clock, inbox, metrics
from chassis.broker import Broker, BrokerLost
from chassis.bus import Bus
from chassis.db import Database
from chassis.messaging import incoming
from chassis.messaging.handling_starts import MOST, NeverEnded, Starts
from chassis.messaging.incoming import Delivery, Undeliverable
from chassis.messaging.lanes import Lanes
from chassis.messaging.linger import AdaptiveLinger
from chassis.messaging.retries import DatabaseUnavailable, Retries, with_backoff
from chassis.messaging.subscription import Subscription, SubscriptionEnded, subscribe

log = structlog.get_logger()

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
EXTERNAL_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Arrival:
    """A raw message with what was read from it."""

    raw: AbstractIncomingMessage
    delivery: Delivery

    @property
    def id(self) -> UUID:
        """The message's id."""
        return self.delivery.envelope.id


@dataclass
class Consumer:
    """Consumes `svc.<service>`. Counters are since the start of the process; times in seconds.

    A batch waits `batch_linger` for more only while messages come often. A delivery that is in
    flight for longer than `delivery_timeout` ends the channel and the handling.
    """

    bus: Bus[Any]
    database: Database
    broker: Broker
    retry_tiers: Sequence[float]
    batch_size: int = 50
    batch_linger: float = 0.005
    max_batch_delay: float = 0.2
    prefetch: int = 200
    delivery_timeout: float = 300.0
    handled: int = 0
    _linger: AdaptiveLinger = field(default_factory=AdaptiveLinger)
    _lanes: Lanes = field(default_factory=lambda: Lanes(EXTERNAL_AT_ONCE))
    _subscription: Subscription | None = None
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _oldest: UUID | None = None
    _draining: bool = False

    def __post_init__(self) -> None:
        self._starts = Starts(self.database)
        self._retries = Retries(self.broker, self.bus.service, self.retry_tiers)
        self._idle.set()

    def is_consuming(self) -> bool:
        """Whether the broker would deliver a message to this process now."""
        return self._subscription is not None and self._subscription.is_open

    def problem(self) -> str | None:
        """Why this process does not do its part of the work, or None."""
        if self._subscription is None or not self._subscription.is_open:
            return "not consuming"
        if self._subscription.oldest > self.delivery_timeout / 2:
            return f"a delivery has been in flight for {self._subscription.oldest:.0f} s"
        return None

    @property
    def retried(self) -> int:
        """How many messages were sent to a retry tier."""
        return self._retries.count

    async def run(self) -> None:
        """Consume until cancelled. Raises TopologyMismatch when the queue is not as expected."""
        pause = FIRST_PAUSE
        while not self._draining:
            began = time.monotonic()
            try:
                await self._database_serves()
                await self._consume()
            except (SubscriptionEnded, BrokerLost, DatabaseUnavailable) as error:
                metrics.record_consumer_stopped(type(error).__name__)
                log.warning("consuming is interrupted", error=str(error))
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        await asyncio.Event().wait()

    async def _database_serves(self) -> None:
        """Wait until the database takes writes; what a former subscription left is tidied up."""

        async def serves() -> None:
            await self._starts.end_all()
            await self._forget_old()

        await with_backoff(serves)

    async def _consume(self) -> None:
        """Consume on one channel until it ends; it is closed then."""
        queue = f"svc.{self.bus.service}"
        async with subscribe(self.broker, queue, self.prefetch, self._linger) as subscription:
            self._subscription = subscription
            log.info("consuming", queue=queue)
            working = asyncio.create_task(self._work(subscription), name="consumer work")
            try:
                await self._watch(subscription, working)
            finally:
                self._subscription = None
                working.cancel()
                await asyncio.wait([working])

    async def _watch(self, subscription: Subscription, working: asyncio.Task[None]) -> None:
        """Wait for the end of the work; stop it when a delivery does not come to its end."""
        while not (await asyncio.wait([working], timeout=min(5.0, self.delivery_timeout / 4)))[0]:
            metrics.set_in_flight_age(subscription.oldest)
            if subscription.oldest > self.delivery_timeout:
                self._starts.leave()
                self._lanes.cancel()
                raise SubscriptionEnded(f"a delivery was in flight for {subscription.oldest:.0f} s")
        if working.cancelled():
            raise SubscriptionEnded("the connection was given up")
        await working

    async def _work(self, subscription: Subscription) -> None:
        while True:
            first = await subscription.take()
            if self._draining:
                # Nobody acknowledges it, so the broker hands it to somebody else.
                await asyncio.Event().wait()
            self._idle.clear()
            try:
                await self._take(subscription, await self._collect(subscription, first))
            finally:
                self._idle.set()

    async def drain(self) -> None:
        """Take no more messages and finish what is in flight; the rest goes back to the queue."""
        self._draining = True
        if self._subscription is not None:
            await self._subscription.cancel()
        await self._idle.wait()
        await self._lanes.finished()

    async def _forget_old(self) -> None:
        async with self.database.transaction() as session:
            self._oldest = await inbox.oldest(session)

    async def _collect(
        self, subscription: Subscription, first: AbstractIncomingMessage
    ) -> list[AbstractIncomingMessage]:
        """The first message and what arrives within the linger, up to a batch."""
        batch = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout(self.max_batch_delay):
                while batch[-1].type in self.bus.low_priority and len(batch) < self.batch_size:
                    batch.append(await subscription.take())
        if self._should_linger(batch, subscription.waiting):
            await asyncio.sleep(self.batch_linger)
        return batch + subscription.take_more(self.batch_size - len(batch))

    def _should_linger(self, batch: Sequence[AbstractIncomingMessage], waiting: int) -> bool:
        """Whether a batch ends with a message that is waited for, has room, and may get more."""
        has_room = len(batch) + waiting < self.batch_size
        is_waited_for = batch[-1].type not in self.bus.low_priority
        return is_waited_for and has_room and self._linger.should_linger()

    async def _take(
        self, subscription: Subscription, batch: Sequence[AbstractIncomingMessage]
    ) -> None:
        together: list[Arrival] = []
        for raw in batch:
            try:
                arrival = Arrival(raw, await self._read(raw))
            except Undeliverable as error:
                await self._retries.send(raw, error)
                await subscription.acknowledge([raw])
                continue
            if type(arrival.delivery.message) in self.bus.external_calls:
                key = arrival.delivery.envelope.correlation_id
                self._lanes.start(key, self._external(subscription, arrival))
            else:
                together.append(arrival)
        if together:
            await self._guarded(together, self._together)
            await subscription.acknowledge([arrival.raw for arrival in together])

    async def _read(self, raw: AbstractIncomingMessage) -> Delivery:
        delivery = incoming.decode(raw, self.bus.service, self.bus.handled)
        if self._is_too_old(delivery):
            # An operator may have let older ones in since this was last asked.
            await with_backoff(self._forget_old)
        if self._is_too_old(delivery):
            raise Undeliverable(f"the message is older than the inbox: {delivery.envelope.id}")
        return delivery

    def _is_too_old(self, delivery: Delivery) -> bool:
        return self._oldest is not None and delivery.envelope.id < self._oldest

    async def _guarded(
        self, batch: Sequence[Arrival], handle: Callable[[Sequence[Arrival]], Awaitable[None]]
    ) -> None:
        """Handle a batch. What was delivered before is noted while it is being handled.

        Where a process ended amid the handling of one of them, each is handled alone.
        """
        again = [arrival.id for arrival in batch if arrival.raw.redelivered]
        counts = await with_backoff(self._starts.counts, again) if again else {}
        for part in [[each] for each in batch] if counts else [batch]:
            noted = [arrival.id for arrival in part if arrival.raw.redelivered]
            ended = counts.get(part[0].id, 0)
            if noted and ended < MOST:
                await with_backoff(self._starts.begin, noted)
            if ended < MOST:
                await handle(part)
            else:
                error = NeverEnded(f"{ended} processes ended while they handled it")
                await self._retries.send(part[0].raw, error)
            if noted:
                await with_backoff(self._starts.end, noted)

    async def _together(self, batch: Sequence[Arrival]) -> None:
        """Handle a batch in one transaction; if it fails, each alone: one poison fails alone."""
        try:
            deliveries = [arrival.delivery for arrival in batch]
            await with_backoff(self.bus.receive, self.database, deliveries)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001
            if len(batch) == 1:
                await self._retries.send(batch[0].raw, error)
                return
            log.info("batch replayed one by one", size=len(batch), error=repr(error))
        else:
            self.handled += len(batch)
            return
        for arrival in batch:
            await self._together([arrival])

    async def _external(self, subscription: Subscription, arrival: Arrival) -> None:
        try:
            await self._guarded([arrival], self._handle_external)
        except Exception as error:  # noqa: BLE001
            subscription.end(str(error) or repr(error))
        else:
            await subscription.acknowledge([arrival.raw])

    async def _handle_external(self, batch: Sequence[Arrival]) -> None:
        (arrival,) = batch
        delivery = arrival.delivery
        try:
            await with_backoff(self.bus.receive_external, self.database, delivery)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001
            await self._retries.send(arrival.raw, error)
        else:
            self.handled += 1
            metrics.record_processed(delivery.key, delivery.envelope, clock.now())
