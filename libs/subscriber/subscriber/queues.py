"""A subscriber's own queue, with its retry tiers and dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

EVENTS = "events"
ATTEMPTS = "x-attempts"
FIRST_FAILED = "x-first-failed-at"
LAST_FAILED = "x-last-failed-at"
ERROR = "x-error"
ERROR_DETAIL = "x-error-detail"
DETAIL_LENGTH = 500
PUBLISH_TIMEOUT = 10.0
TIERS = 3
WORK, DEAD = "work", "dead"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one queue of one system, and of its exchange and other queues."""

    system: str
    queue: str

    @property
    def work(self) -> str:
        """The queue events arrive in."""
        return f"ext.{self.system}.{self.queue}"

    @property
    def retry(self) -> str:
        """The exchange for failed events."""
        return f"{self.work}.retry"

    @property
    def dead(self) -> str:
        """The queue of dead letters."""
        return f"{self.work}.dead"

    def tier(self, number: int) -> str:
        """The queue of a retry tier."""
        return f"{self.work}.retry.{number}"


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues over a channel with publisher confirms and `on_return_raises`."""

    names: Names
    channel: AbstractChannel
    tiers: Sequence[float]

    async def bind(self, keys: Iterable[str]) -> AbstractQueue:
        """The work queue, bound to the events with these routing keys.

        Raises aio-pika's ChannelClosed when there is no such queue or the user may not use it.
        """
        queue = await self.channel.get_queue(self.names.work, ensure=True)
        for key in sorted(keys):
            await queue.bind(EVENTS, key)
        return queue

    async def fail(self, raw: AbstractIncomingMessage, error: BaseException, *, final: bool) -> str:
        """Publish a failed event to its next tier or the dead letters; returns the routing key."""
        attempt = attempts_of(raw) + 1
        dead = final or attempt > min(TIERS, len(self.tiers))
        headers = {
            name: value for name, value in raw.headers.items() if not name.startswith("x-death")
        } | failure(raw, error, attempt)
        key = DEAD if dead else str(attempt)
        wait = None if dead else timedelta(seconds=self.tiers[attempt - 1])
        await self._send(raw, headers, key, wait)
        await raw.ack()
        return key

    async def redrive(self, limit: int) -> int:
        """Republish dead letters to the work queue with no attempts; returns their number."""
        dead = await self.channel.get_queue(self.names.dead, ensure=True)
        moved = 0
        while moved < limit and (raw := await dead.get(fail=False)) is not None:
            headers = {k: v for k, v in raw.headers.items() if not k.startswith("x-")}
            await self._send(raw, headers, WORK, None)
            await raw.ack()
            moved += 1
        return moved

    async def _send(
        self, raw: AbstractIncomingMessage, headers: Any, key: str, wait: timedelta | None
    ) -> None:
        message = aio_pika.Message(
            raw.body,
            headers=cast("dict[str, Any]", headers),
            message_id=raw.message_id,
            type=raw.type,
            content_type=raw.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            expiration=wait,
        )
        exchange = await self.channel.get_exchange(self.names.retry, ensure=False)
        await exchange.publish(message, routing_key=key, mandatory=True, timeout=PUBLISH_TIMEOUT)


def attempts_of(raw: AbstractIncomingMessage) -> int:
    """How often its handling has failed."""
    value = raw.headers.get(ATTEMPTS, 0)
    return value if isinstance(value, int) else 0


def failure(raw: AbstractIncomingMessage, error: BaseException, attempt: int) -> dict[str, Any]:
    """The headers of a failure: the error, the attempts and their times."""
    now = datetime.now(UTC).isoformat()
    return {
        ATTEMPTS: attempt,
        FIRST_FAILED: str(raw.headers.get(FIRST_FAILED) or now),
        LAST_FAILED: now,
        ERROR: type(error).__name__,
        ERROR_DETAIL: str(error)[:DETAIL_LENGTH],
    }
