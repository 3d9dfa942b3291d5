"""The consumer: handles batches from the service's work queue, acknowledges, retries, dead-letters.

It consumes while its database and the broker are available. During an outage it closes its channel
and waits: the messages stay in the queue, nothing counts as an attempt, and consuming resumes as
soon as the outage ends.
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
from chassis.messaging.handling_starts import MAX_CRASHES, NeverEnded, Starts
from chassis.messaging.incoming import Delivery, Undeliverable
from chassis.messaging.lanes import Lanes
from chassis.messaging.linger import AdaptiveLinger
from chassis.messaging.retries import DatabaseUnavailable, Retries, with_backoff
from chassis.messaging.subscription import Subscription, SubscriptionEnded, subscribe

log = structlog.get_logger()

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
MAX_EXTERNAL_CALLS = 16


@dataclass(frozen=True, slots=True)
class Arrival:
    """A raw message and its decoded delivery."""

    raw: AbstractIncomingMessage
    delivery: Delivery

    @property
    def id(self) -> UUID:
        """The message's id."""
        return self.delivery.envelope.id


@dataclass
class Consumer:
    """Consumes `svc.<service>`. Counters are since the start of the process; times in seconds.

    A batch waits `batch_linger` for more only while messages arrive often. A delivery in flight for
    longer than `delivery_timeout` closes the channel and cancels the handling.
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
    _lanes: Lanes = field(default_factory=lambda: Lanes(MAX_EXTERNAL_CALLS))
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
        """Why this process is not ready to consume, or None."""
        if self._subscription is None or not self._subscription.is_open:
            return "not consuming"
        if self._subscription.oldest > self.delivery_timeout / 2:
            return f"a delivery has been in flight for {self._subscription.oldest:.0f} s"
        return None

    @property
    def retried(self) -> int:
        """The number of messages sent to a retry tier."""
        return self._retries.count

    async def run(self) -> None:
        """Consume until cancelled. Raises TopologyMismatch when the queue is not as expected."""
        pause = FIRST_PAUSE
        while not self._draining:
            began = time.monotonic()
            try:
                await self._wait_for_database()
                await self._consume()
            except (SubscriptionEnded, BrokerLost, DatabaseUnavailable) as error:
                metrics.record_consumer_stopped(type(error).__name__)
                log.warning("consuming interrupted", error=str(error))
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        await asyncio.Event().wait()

    async def _wait_for_database(self) -> None:
        """Wait until the database accepts writes; delete the starts that an outage left."""

        async def prepare() -> None:
            await self._starts.end_all()
            await self._load_oldest()

        await with_backoff(prepare)

    async def _consume(self) -> None:
        """Consume on one channel until it closes."""
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
        """Wait for the work to end; cancel it when a delivery exceeds its time limit."""
        while not (await asyncio.wait([working], timeout=min(5.0, self.delivery_timeout / 4)))[0]:
            metrics.set_in_flight_age(subscription.oldest)
            if subscription.oldest > self.delivery_timeout:
                self._starts.abandon()
                self._lanes.cancel()
                raise SubscriptionEnded(f"a delivery was in flight for {subscription.oldest:.0f} s")
        if working.cancelled():
            raise SubscriptionEnded("the connection timed out")
        await working

    async def _work(self, subscription: Subscription) -> None:
        while True:
            first = await subscription.take()
            if self._draining:
                # It is not acknowledged, so the broker delivers it to another consumer.
                await asyncio.Event().wait()
            self._idle.clear()
            try:
                await self._process_batch(subscription, await self._collect(subscription, first))
            finally:
                self._idle.set()

    async def drain(self) -> None:
        """Stop consuming and finish what is in flight; the rest returns to the queue."""
        self._draining = True
        if self._subscription is not None:
            await self._subscription.cancel()
        await self._idle.wait()
        await self._lanes.wait_idle()

    async def _load_oldest(self) -> None:
        async with self.database.transaction() as session:
            self._oldest = await inbox.oldest(session)

    async def _collect(
        self, subscription: Subscription, first: AbstractIncomingMessage
    ) -> list[AbstractIncomingMessage]:
        """The first message and those that arrive within the linger, up to the batch size."""
        batch = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout(self.max_batch_delay):
                while batch[-1].type in self.bus.low_priority and len(batch) < self.batch_size:
                    batch.append(await subscription.take())
        if self._should_linger(batch, subscription.waiting):
            await asyncio.sleep(self.batch_linger)
        return batch + subscription.take_more(self.batch_size - len(batch))

    def _should_linger(self, batch: Sequence[AbstractIncomingMessage], waiting: int) -> bool:
        """Whether to wait briefly: the batch has room and more messages are likely."""
        has_room = len(batch) + waiting < self.batch_size
        is_urgent = batch[-1].type not in self.bus.low_priority
        return is_urgent and has_room and self._linger.should_linger()

    async def _process_batch(
        self, subscription: Subscription, batch: Sequence[AbstractIncomingMessage]
    ) -> None:
        batched: list[Arrival] = []
        for raw in batch:
            try:
                arrival = Arrival(raw, await self._decode(raw))
            except Undeliverable as error:
                await self._retries.send(raw, error)
                await subscription.acknowledge([raw])
                continue
            if type(arrival.delivery.message) in self.bus.external_calls:
                key = arrival.delivery.envelope.correlation_id
                self._lanes.start(key, self._run_external(subscription, arrival))
            else:
                batched.append(arrival)
        if batched:
            await self._guard(batched, self._handle_batch)
            await subscription.acknowledge([arrival.raw for arrival in batched])

    async def _decode(self, raw: AbstractIncomingMessage) -> Delivery:
        delivery = incoming.decode(raw, self.bus.service, self.bus.handled)
        if self._is_too_old(delivery):
            # An operator may have reopened older partitions of the inbox since it was last read.
            await with_backoff(self._load_oldest)
        if self._is_too_old(delivery):
            raise Undeliverable(f"the message is older than the inbox: {delivery.envelope.id}")
        return delivery

    def _is_too_old(self, delivery: Delivery) -> bool:
        return self._oldest is not None and delivery.envelope.id < self._oldest

    async def _guard(
        self, batch: Sequence[Arrival], handle: Callable[[Sequence[Arrival]], Awaitable[None]]
    ) -> None:
        """Handle a batch, recording the start of every redelivered message.

        When an earlier process crashed while it handled one of them, each is handled alone.
        """
        redelivered = [arrival.id for arrival in batch if arrival.raw.redelivered]
        counts = await with_backoff(self._starts.counts, redelivered) if redelivered else {}
        for part in [[each] for each in batch] if counts else [batch]:
            started = [arrival.id for arrival in part if arrival.raw.redelivered]
            crashes = counts.get(part[0].id, 0)
            if started and crashes < MAX_CRASHES:
                await with_backoff(self._starts.begin, started)
            if crashes < MAX_CRASHES:
                await handle(part)
            else:
                error = NeverEnded(f"{crashes} processes ended while they handled it")
                await self._retries.send(part[0].raw, error)
            if started:
                await with_backoff(self._starts.end, started)

    async def _handle_batch(self, batch: Sequence[Arrival]) -> None:
        """Handle a batch in one transaction, or each message alone when it fails."""
        try:
            deliveries = [arrival.delivery for arrival in batch]
            await with_backoff(self.bus.receive, self.database, deliveries)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001
            if len(batch) == 1:
                await self._retries.send(batch[0].raw, error)
                return
            log.info(
                "batch failed, handling messages one by one", size=len(batch), error=repr(error)
            )
        else:
            self.handled += len(batch)
            return
        for arrival in batch:
            await self._handle_batch([arrival])

    async def _run_external(self, subscription: Subscription, arrival: Arrival) -> None:
        try:
            await self._guard([arrival], self._handle_external)
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
