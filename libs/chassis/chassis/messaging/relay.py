"""The relay: the only publisher. It sends outbox rows to the broker in order and deletes them.

It locks shards by advisory lock before it reads rows (`outbox_take` in `migrations.py`), publishes
a batch with all its confirms outstanding, and deletes only each aggregate's confirmed prefix.

Each batch is published on one channel, which is closed when a confirm is missing. So the events of
an aggregate that reach the broker through one channel have no gap and begin at or before the first
event that the broker lacks. However many such channels overlap, even of a relay that was frozen,
consumers first see every event in order; the inbox recognises duplicates by their id.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import aio_pika
import aiormq
import asyncpg
import structlog
from aiormq.exceptions import PublishError

from chassis import metrics, outbox
from chassis.broker import Broker, translate_errors
from chassis.db import Database
from chassis.instrumentation import sending
from chassis.messaging.linger import AdaptiveLinger

log = structlog.get_logger()

ALL_SHARDS = frozenset(range(outbox.SHARDS))
LOCK_SPACE = 7_201_118
PUBLISH_TIMEOUT = 5.0
UNPARK_AFTER = timedelta(minutes=1)


class NotConfirmed(Exception):
    """The broker did not confirm some messages; they stay in the outbox."""


UNPARK = "update outbox set parked_at = null where parked_at < now() - $1::interval"
WAITING = "select exists (select 1 from outbox where parked_at is null)"
TAKE = "select * from outbox_take($1, $2, $3)"
SENT = "call outbox_sent($1)"
UNSENT = "update outbox set attempts = attempts + 1, last_error = $2 where seq = any($1::bigint[])"
PARK = (
    "update outbox set parked_at = now(), attempts = attempts + 1, "
    "last_error = 'no queue is bound for this routing key' where seq = $1"
)


@dataclass
class Relay:
    """Publishes what its service committed; `linger` and `sweep_interval` are in seconds.

    It lingers only while commits are frequent.
    """

    database: Database
    broker: Broker
    user: str
    batch: int = 500
    sweep_interval: float = 1.0
    linger: float = 0.005
    _due: set[int] = field(default_factory=lambda: set(ALL_SHARDS))
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _linger: AdaptiveLinger = field(default_factory=AdaptiveLinger)

    def wake(self, shards: set[int]) -> None:
        """Publish the messages of these shards soon; called after each commit that wrote some."""
        self._linger.record_arrival(time.monotonic())
        self._due |= shards
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled: when woken, and periodically what a crash left behind."""
        while True:
            try:
                await self.drain()
            except Exception as error:  # noqa: BLE001
                # The rows remain; the next wake or sweep publishes them.
                log.warning("relay paused", error=repr(error))
                await self._wait(min(self.sweep_interval, 0.5))
                self._due |= ALL_SHARDS
                continue
            if await self._wait(self.sweep_interval * random.uniform(0.75, 1.25)):  # noqa: S311
                if self._linger.should_linger():
                    # Commits come in bursts: a short wait makes one batch of them.
                    await asyncio.sleep(self.linger)
                continue
            self._due |= ALL_SHARDS

    async def _wait(self, seconds: float) -> bool:
        """Wait to be woken, for at most some seconds; returns whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def drain(self) -> None:
        """Publish until no message waits in the shards that are due."""
        while self._due:
            shards, self._due = self._due, set()
            if shards == ALL_SHARDS and not await self._has_messages():
                return
            if await self._send_batch(shards) >= self.batch:
                await self._catch_up(shards)

    async def _catch_up(self, shards: set[int]) -> None:
        """Publish a backlog: one half of the shards while the other awaits its confirms."""

        async def empty(part: set[int]) -> None:
            while await self._send_batch(part) >= self.batch:
                pass

        ordered = sorted(shards)
        async with asyncio.TaskGroup() as both:
            for part in (ordered[::2], ordered[1::2]):
                if part:
                    both.create_task(empty(set(part)))

    async def _has_messages(self) -> bool:
        async with self.database.driver() as connection:
            await connection.execute(UNPARK, UNPARK_AFTER)
            return bool(await connection.fetchval(WAITING))

    async def _send_batch(self, shards: set[int]) -> int:
        """Publish one batch of the shards that can be locked; returns the number of rows read.

        PostgreSQL releases the shards of a silent relay, so nothing here may wait for long while
        they are locked: the channel is opened before, and publishing has a time limit.
        """
        channel = await self.broker.publishing()
        async with self.database.driver() as connection:
            try:
                rows = await connection.fetch(TAKE, LOCK_SPACE, sorted(shards), self.batch)
                held = set(rows[0]["held"])
                rows = [row for row in rows if row["seq"] is not None]
                failure = await self._send(connection, channel, rows)
            except BaseException:
                # The connection holds the shards' locks, and releases them when it closes.
                connection.terminate()
                raise
        # Another relay holds the others, perhaps with a snapshot older than the latest commit.
        self._due |= shards - held
        if failure is not None:
            raise NotConfirmed(repr(failure)) from failure
        return len(rows)

    async def _send(
        self,
        connection: asyncpg.Connection,
        channel: aiormq.Channel,
        rows: Sequence[asyncpg.Record],
    ) -> BaseException | None:
        """Publish a batch, delete what was confirmed and unlock the shards; returns a failure."""
        results = await self._publish_all(channel, rows)
        metrics.record_sent(results)
        confirmed: list[int] = []
        stopped: set[str] = set()
        failure: BaseException | None = None
        for row, result in zip(rows, results, strict=True):
            if row["subject"] in stopped:
                continue
            if result is None:
                confirmed.append(row["seq"])
            elif isinstance(result, PublishError):
                await self._park(connection, row)
            else:
                stopped.add(row["subject"])
                failure = result
        if failure is not None:
            unsent = [row["seq"] for row in rows if row["subject"] in stopped]
            await connection.execute(UNSENT, unsent, repr(failure)[:500])
        await connection.execute(SENT, confirmed)
        return failure

    async def _publish_all(
        self, channel: aiormq.Channel, rows: Sequence[asyncpg.Record]
    ) -> list[BaseException | None]:
        """Publish in order on one channel; for each row None, or why it is not confirmed.

        One time limit for all: with a limit for each, a message could be sent after an earlier one
        had timed out unsent.
        """
        tasks = [asyncio.create_task(self._publish(channel, row)) for row in rows]
        try:
            missing = (await asyncio.wait(tasks, timeout=PUBLISH_TIMEOUT))[1] if tasks else set()
            if missing or any(map(_is_undecided, tasks)):
                await self.broker.abandon(channel)
        finally:
            # All tasks are cancelled at once, so that no message overtakes another.
            for task in tasks:
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self, channel: aiormq.Channel, row: asyncpg.Record) -> None:
        with sending(row) as headers, translate_errors(PublishError):
            properties = aiormq.spec.Basic.Properties(
                headers=headers,
                message_id=str(row["message_id"]),
                user_id=self.user,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_type=row["headers"]["cloudEvents:type"],
            )
            # Without `wait`, a batch takes few writes: the default waits for the socket after each
            # message. The batch bounds what is in flight.
            await channel.basic_publish(
                row["body"],
                exchange=row["exchange"],
                routing_key=row["routing_key"],
                properties=properties,
                mandatory=True,
                wait=False,
            )

    async def _park(self, connection: asyncpg.Connection, row: asyncpg.Record) -> None:
        """Park an unroutable message and log an error, so that it does not block the others."""
        key, message_id = row["routing_key"], str(row["message_id"])
        log.error("message unroutable, parked", message_id=message_id, key=key)
        await connection.execute(PARK, row["seq"])


def _is_undecided(task: asyncio.Task[None]) -> bool:
    """Whether the broker may or may not have the message; a returned one it does not have."""
    if task.cancelled():
        return True
    error = task.exception()
    return error is not None and not isinstance(error, PublishError)
