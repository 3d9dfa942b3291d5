"""The status of a service: outbox, queues, inbox, dead letters and schema."""

import asyncio
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika.exceptions import AMQPError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.ids import utcnow
from chassis.ops.fetching import CONNECT_TIMEOUT, BrokerUnavailable
from chassis.revisions import newest_revision
from chassis.wire import View

WAITING = text(
    "select routing_key, count(*) as waiting, count(parked_at) as parked, "
    "min(created_at) as oldest_at, max(attempts) as attempts, max(last_error) as last_error "
    "from outbox group by routing_key order by min(created_at)"
)
UNPARK = text(
    "update outbox set parked_at = null, attempts = 0 where parked_at is not null "
    "returning message_id, shard, routing_key, last_error"
)
FACTS = text(
    "select (select count(*) from dead_letters) as dead_letters, "
    "(select version_num from alembic_version) as revision, "
    "(select max(relname) from pg_class where relname ~ '^inbox_[0-9]{8}$' and relkind = 'r') "
    "as last_partition, "
    "(select count(*) from idempotency_keys where state = 'running' and lease_until < now()) "
    "as keys_left_running, now() as database_time"
)


class OutboxKey(View):
    """The messages waiting under one routing key; `parked` of them are unroutable."""

    routing_key: str
    waiting: int
    parked: int
    oldest_at: datetime
    attempts: int
    last_error: str | None


class OutboxStatus(View):
    """Messages committed and not published; times in seconds."""

    waiting: int
    parked: int
    oldest_seconds: float | None
    keys: list[OutboxKey]


class QueueStatus(View):
    """The ready messages and consumers of one of the service's queues."""

    name: str
    ready: int
    consumers: int


class ServiceStatus(View):
    """The status of a service."""

    service: str
    time: datetime
    database_time: datetime
    revision: str | None
    newest_revision: str
    last_inbox_day: str | None
    keys_left_running: int
    dead_letters: int
    outbox: OutboxStatus
    queues: list[QueueStatus]


async def outbox_status(tx: AsyncSession) -> OutboxStatus:
    """The messages waiting in the outbox, by routing key, the oldest first."""
    keys = [OutboxKey.model_validate(row) for row in await tx.execute(WAITING)]
    oldest = min((key.oldest_at for key in keys), default=None)
    return OutboxStatus(
        waiting=sum(key.waiting for key in keys),
        parked=sum(key.parked for key in keys),
        oldest_seconds=max((utcnow() - oldest).total_seconds(), 0.0) if oldest else None,
        keys=keys,
    )


async def unpark(tx: AsyncSession) -> list[Any]:
    """Unpark messages, to be retried at once; returns their rows."""
    return list((await tx.execute(UNPARK)).all())


async def queue_status(broker_url: str, service: str) -> list[QueueStatus]:
    """The service's queues, as counted by the broker. Raises BrokerUnavailable."""
    names = ("", *(f".retry.{tier}" for tier in (1, 2, 3, 4)), ".dead")
    found: list[QueueStatus] = []
    try:
        connection = await aio_pika.connect(broker_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            for name in names:
                queue = await channel.declare_queue(f"svc.{service}{name}", passive=True)
                counted = queue.declaration_result
                found.append(
                    QueueStatus(
                        name=queue.name,
                        ready=counted.message_count or 0,
                        consumers=counted.consumer_count or 0,
                    )
                )
    except (AMQPError, OSError, TimeoutError) as error:
        raise BrokerUnavailable from error
    return found


async def service_status(tx: AsyncSession, service: str) -> ServiceStatus:
    """The status by the database, without queues."""
    facts = (await tx.execute(FACTS)).one()
    day = facts.last_partition
    newest = await asyncio.to_thread(newest_revision, service)
    return ServiceStatus(
        service=service,
        time=utcnow(),
        database_time=facts.database_time,
        revision=facts.revision,
        newest_revision=newest,
        last_inbox_day=f"{day[6:10]}-{day[10:12]}-{day[12:14]}" if day else None,
        keys_left_running=facts.keys_left_running,
        dead_letters=facts.dead_letters,
        outbox=await outbox_status(tx),
        queues=[],
    )
