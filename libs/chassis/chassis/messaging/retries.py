"""Failed handling: waiting for the database, the next retry tier, or the dead letters."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage

from chassis import metrics
from chassis.broker import Broker, translate_errors
from chassis.driver_errors import counts_as_attempt, is_outage
from chassis.errors import Unavailable
from chassis.http import Unreachable
from chassis.messaging import incoming
from chassis.messaging.handling_starts import NeverEnded
from chassis.messaging.incoming import Undeliverable

log = structlog.get_logger()

PUBLISH_TIMEOUT = 5.0
FINAL = (Undeliverable, NeverEnded)
UNAVAILABLE = (Unreachable, Unavailable)
WARNING, ERROR = 30, 40
# Seconds for which the consumer holds messages while the database is unavailable.
OUTAGE_TIMEOUT = 3.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0

P = ParamSpec("P")
Outcome = TypeVar("Outcome")


class DatabaseUnavailable(Exception):
    """The database was unavailable for longer than the consumer holds messages."""


async def with_backoff(
    work: Callable[P, Awaitable[Outcome]], *args: P.args, **kwargs: P.kwargs
) -> Outcome:
    """Do the work, and repeat it while the database is unavailable.

    Raises DatabaseUnavailable when the outage lasts, and whatever else the work raises.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            return await work(*args, **kwargs)
        except Exception as error:
            if not is_outage(error):
                raise
            if time.monotonic() - began > OUTAGE_TIMEOUT:
                raise DatabaseUnavailable(repr(error)[:200]) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


class Retries:
    """The retry tiers of one service; `tiers` are the delays in seconds.

    count: the number of messages sent to a tier.
    """

    def __init__(self, broker: Broker, service: str, tiers: Sequence[float]) -> None:
        self._broker = broker
        self._service = service
        self._tiers = tiers
        self.count = 0

    async def send(self, raw: AbstractIncomingMessage, error: BaseException) -> None:
        """Publish a failed message to its next tier or the dead letters. Raises BrokerLost.

        Afterwards the original can be acknowledged. After a lock conflict, or while a peer or
        provider is unavailable, the message waits in the first tier without an attempt.
        """
        counts = counts_as_attempt(error) and not isinstance(error, UNAVAILABLE)
        attempt = incoming.attempts_of(raw) + counts
        final = isinstance(error, FINAL) or attempt > len(self._tiers)
        tier = attempt if counts else 1
        headers = incoming.failure_headers(raw, error, self._service, attempt)
        properties = aiormq.spec.Basic.Properties(
            headers=headers,
            message_id=raw.message_id,
            message_type=raw.type,
            content_type=raw.content_type,
            user_id=self._service,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            expiration=None if final else str(int(self._tiers[tier - 1] * 1000)),
        )
        channel = await self._broker.publishing()
        with translate_errors():
            await channel.basic_publish(
                raw.body,
                exchange=f"svc.{self._service}.retry",
                routing_key="dead" if final else str(tier),
                properties=properties,
                mandatory=True,
                timeout=PUBLISH_TIMEOUT,
            )
        self.count += not final
        metrics.record_failed(incoming.declared_key(raw), final=final)
        log.log(
            ERROR if final else WARNING,
            "message dead-lettered" if final else "message will be retried",
            message_id=raw.message_id,
            attempt=attempt,
            error=headers[incoming.ERROR],
            detail=headers[incoming.ERROR_DETAIL],
        )
