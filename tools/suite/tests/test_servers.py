"""The permissions of database roles and broker users, and the routing of retries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import aiormq
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from suite.instance import Instance


async def run_as(dsn: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


Channels = Callable[[str], Awaitable[AbstractChannel]]


@pytest.fixture
async def channel_of(suite: Instance) -> AsyncIterator[Channels]:
    """Open channels as a broker user; they close with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_as(user: str) -> AbstractChannel:
            connection = await aio_pika.connect(suite.broker_url(user))
            await stack.enter_async_context(connection)
            return await connection.channel(on_return_raises=True)

        yield open_as


async def refused(attempt: Awaitable[Any]) -> None:
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
        await attempt


async def test_a_service_can_use_the_tables_of_the_migrator(suite: Instance) -> None:
    assert await run_as(suite.dsn("baker"), "select * from starts")


async def test_a_service_cannot_create_tables(suite: Instance) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run_as(suite.dsn("baker"), "create table loot ()")


async def test_a_service_connects_to_its_own_database_alone(suite: Instance) -> None:
    for database in ("waiter", "sandbox", "postgres"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_as(suite.dsn(database, "baker"), "select 1")


async def test_a_wrong_password_is_refused_on_loopback_too(suite: Instance) -> None:
    password = suite.environment.secrets["database:postgres"]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run_as(suite.dsn("postgres", "postgres").replace(password, "guess"), "select 1")


async def test_commits_are_durable(suite: Instance) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        ((value,),) = await run_as(suite.dsn("baker"), f"show {setting}")
        assert value == "on"


async def test_a_service_publishes_its_own_events_and_commands_alone(channel_of: Channels) -> None:
    message = aio_pika.Message(b"{}")
    baker = await channel_of("baker")
    events = await baker.get_exchange("events")
    await events.publish(message, "baker.Baked")

    await refused(events.publish(message, "waiter.Served"))
    baker = await channel_of("baker")
    commands = await baker.get_exchange("commands", ensure=False)
    await refused(commands.publish(message, "baker.Bake"))

    waiter = await channel_of("waiter")
    commands = await waiter.get_exchange("commands", ensure=False)
    await commands.publish(message, "baker.Bake")


async def test_a_service_reads_and_declares_its_own_queues_alone(channel_of: Channels) -> None:
    baker = await channel_of("baker")
    await refused((await baker.get_queue("svc.waiter", ensure=False)).get(fail=False))
    baker = await channel_of("baker")
    await refused(baker.declare_queue("svc.waiter.loot"))
    baker = await channel_of("baker")
    await baker.declare_queue("svc.baker.progress", exclusive=True)


async def test_a_delayed_message_returns_to_its_work_queue_alone(channel_of: Channels) -> None:
    waiter = await channel_of("waiter")
    retry = await waiter.get_exchange("svc.waiter.retry")
    queue = await waiter.get_queue("svc.waiter")
    await queue.purge()

    await retry.publish(aio_pika.Message(b"late", expiration=0.2), "1")

    message = await next_of(queue)
    assert message.body == b"late"
    deaths: Any = message.headers["x-death"]
    assert deaths[0]["reason"] == "expired"
    await message.ack()


async def test_a_rejected_message_becomes_a_dead_letter(
    channel_of: Channels,
) -> None:
    waiter = await channel_of("waiter")
    queue = await waiter.get_queue("svc.waiter")
    await queue.purge()
    events = await (await channel_of("baker")).get_exchange("events")
    await events.publish(aio_pika.Message(b"poison"), "baker.Baked")

    await (await next_of(queue)).reject(requeue=False)

    dead = await next_of(await waiter.get_queue("svc.waiter.dead"))
    assert dead.body == b"poison"
    await dead.ack()


async def next_of(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async with asyncio.timeout(10), queue.iterator() as messages:
        async for message in messages:
            return message
    raise AssertionError("the queue was closed")


async def test_a_changed_topology_reaches_a_running_broker(
    suite: Instance, bakery: Any, channel_of: Channels
) -> None:
    """A message that a service no longer handles is unbound, else it would fill its dead letters."""
    bakery.write(suite.root, waiter_subscribed=False)
    await asyncio.to_thread(suite.start)

    admin = await channel_of("admin")
    queue = await admin.get_queue("svc.waiter")
    await queue.purge()
    events = await admin.get_exchange("events")
    await events.publish(aio_pika.Message(b"unbound"), "baker.Baked")
    assert await queue.get(fail=False) is None

    bakery.write(suite.root)
    await asyncio.to_thread(suite.start)
    await events.publish(aio_pika.Message(b"bound"), "baker.Baked")
    assert (await next_of(queue)).body == b"bound"
