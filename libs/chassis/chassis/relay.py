"""The relay: the only publisher, which carries outbox rows to the broker in order and deletes them.

Shards are taken by advisory lock, in a statement of its own before the rows are read: a lock taken
in the same statement would read with a snapshot older than the lock and send rows twice. A batch is
published with all its confirms outstanding, and only each aggregate's confirmed prefix is deleted.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aio_pika
import structlog
from aio_pika.exceptions import PublishError
from sqlalchemy import Row, bindparam, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox, tables
from chassis.broker import Broker
from chassis.db import Database
from chassis.ids import utcnow

log = structlog.get_logger()

ALL_SHARDS = frozenset(range(outbox.SHARDS))
LOCK_SPACE = 7_201_118
PUBLISH_TIMEOUT = 5.0
UNPARK_AFTER = timedelta(minutes=1)


class NotConfirmed(Exception):
    """The broker did not take some messages; they stay in the outbox."""


TRY_LOCK = text(
    "select s from unnest(cast(:shards as int[])) s where pg_try_advisory_xact_lock(:space, s)"
)
WAIT_LOCK = text("select pg_advisory_xact_lock(:space, :shard)")
WAITING = select(select(tables.outbox.c.seq).where(tables.outbox.c.parked_at.is_(None)).exists())
UNPARK = (
    update(tables.outbox)
    .where(tables.outbox.c.parked_at < bindparam("before"))
    .values(parked_at=None)
)
READ = (
    select(
        tables.outbox.c.seq,
        tables.outbox.c.message_id,
        tables.outbox.c.subject,
        tables.outbox.c.exchange,
        tables.outbox.c.routing_key,
        tables.outbox.c.headers,
        tables.outbox.c.body,
    )
    .where(
        tables.outbox.c.parked_at.is_(None),
        tables.outbox.c.shard.in_(bindparam("shards", expanding=True)),
    )
    .order_by(tables.outbox.c.seq)
    .limit(bindparam("most"))
)


@dataclass
class Relay:
    """Sends what its service committed. Counters are since the start of the process."""

    database: Database
    broker: Broker
    user: str
    batch: int = 500
    sweep_interval: float = 1.0
    sent: int = 0
    parked: int = 0
    failed: int = 0
    _due: set[int] = field(default_factory=lambda: set(ALL_SHARDS))
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, shards: set[int]) -> None:
        """Called right after each commit that wrote messages."""
        self._due |= shards
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled: at once when woken, and by sweeping what a crash left behind."""
        while True:
            try:
                await self.drain()
            except Exception as error:  # noqa: BLE001
                # Whatever failed, the rows stand; the next wake or sweep takes them up again.
                self.failed += 1
                log.warning("relay paused", error=repr(error))
                await self._rest(min(self.sweep_interval, 0.5))
                self._due |= ALL_SHARDS
                continue
            if await self._rest(self.sweep_interval * random.uniform(0.75, 1.25)):  # noqa: S311
                continue
            self._due |= ALL_SHARDS

    async def _rest(self, seconds: float) -> bool:
        """Wait to be woken, at most so long; tells whether somebody did."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def drain(self) -> None:
        """Send until nothing waits in the shards that are due."""
        while self._due:
            shards, self._due = self._due, set()
            if shards == ALL_SHARDS and not await self._anything_waits():
                return
            read = await self._pass(shards)
            if read >= self.batch:
                self._due |= shards

    async def _anything_waits(self) -> bool:
        async with self.database.engine.begin() as connection:
            await connection.execute(UNPARK, {"before": utcnow() - UNPARK_AFTER})
            return bool((await connection.execute(WAITING)).scalar())

    async def _pass(self, shards: set[int]) -> int:
        """Send one batch of the shards that can be locked; returns how many rows were read."""
        async with self.database.engine.begin() as connection:
            held = await self._lock(connection, sorted(shards))
            if not held:
                return 0
            rows = (await connection.execute(READ, {"shards": held, "most": self.batch})).all()
            failure = await self._send(connection, rows) if rows else None
        if failure is not None:
            raise NotConfirmed(repr(failure)) from failure
        return len(rows)

    async def _lock(self, connection: AsyncConnection, shards: Sequence[int]) -> list[int]:
        """Take what is free; when all is held, wait a moment for the first, then look again."""
        found = await connection.execute(TRY_LOCK, {"shards": list(shards), "space": LOCK_SPACE})
        held = list(found.scalars())
        if held or set(shards) == ALL_SHARDS:
            return held
        await connection.execute(text("set local lock_timeout = '200ms'"))
        await connection.execute(WAIT_LOCK, {"space": LOCK_SPACE, "shard": shards[0]})
        return [shards[0]]

    async def _send(
        self, connection: AsyncConnection, rows: Sequence[Row[*tuple[Any, ...]]]
    ) -> BaseException | None:
        """Publish a batch; delete what was confirmed, and return what kept the rest from it."""
        results = await asyncio.gather(
            *(self._publish(row) for row in rows), return_exceptions=True
        )
        confirmed: list[int] = []
        stopped: set[str] = set()
        failure: BaseException | None = None
        for row, result in zip(rows, results, strict=True):
            if row.subject in stopped:
                continue
            if result is None:
                confirmed.append(row.seq)
            elif isinstance(result, PublishError):
                await self._park(connection, row)
            else:
                stopped.add(row.subject)
                failure = result
        if confirmed:
            await connection.execute(
                delete(tables.outbox).where(tables.outbox.c.seq.in_(confirmed))
            )
            self.sent += len(confirmed)
        if failure is not None:
            unsent = [row.seq for row in rows if row.subject in stopped]
            await connection.execute(
                update(tables.outbox)
                .where(tables.outbox.c.seq.in_(unsent))
                .values(attempts=tables.outbox.c.attempts + 1, last_error=repr(failure)[:500])
            )
        return failure

    async def _publish(self, row: Row[*tuple[Any, ...]]) -> None:
        exchange = await self.broker.exchange(row.exchange)
        await exchange.publish(
            aio_pika.Message(
                row.body,
                headers=row.headers,
                message_id=str(row.message_id),
                user_id=self.user,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                type=row.headers["cloudEvents:type"],
            ),
            routing_key=row.routing_key,
            mandatory=True,
            timeout=PUBLISH_TIMEOUT,
        )

    async def _park(self, connection: AsyncConnection, row: Row[*tuple[Any, ...]]) -> None:
        """Set an unroutable message aside with an alarm, so that it does not stop the others."""
        self.parked += 1
        log.error("message unroutable, parked", message_id=str(row.message_id), key=row.routing_key)
        await connection.execute(
            update(tables.outbox)
            .where(tables.outbox.c.seq == row.seq)
            .values(
                parked_at=func.now(),
                attempts=tables.outbox.c.attempts + 1,
                last_error="no queue is bound for this routing key",
            )
        )
