"""Least privilege: what a service's database role and broker user are refused, one by one."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aio_pika
import aiormq
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from contracts import registry
from contracts.message import Command
from invariants import SERVICES
from suite.instance import Instance

# What the owner of the tables alone may do, in any service's database.
OF_THE_OWNER = {
    "make a table": "create table loot (id int)",
    "make a schema": "create schema loot",
    "change a table": "alter table outbox add column loot int",
    "empty a table at once": "truncate outbox",
    "drop a table": "drop table outbox",
    "make a function": "create function loot() returns int language sql as 'select 1'",
    "make a temporary table": "create temporary table loot (id int)",
    "make an extension": "create extension hstore",
    "turn off a trigger": "alter table outbox disable trigger all",
    "make a role": "create role loot",
    "make a database": "create database loot",
    "become the migrator": "set role migrator",
    "become the superuser": "set role postgres",
    "change the settings of others": "alter role migrator set statement_timeout = '1ms'",
    "read passwords": "select rolpassword from pg_authid",
    "read files": "select pg_read_file('/etc/passwd')",
    "run programs": "copy outbox to program 'true'",
    "stop the sessions of others": (
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'"
    ),
    "claim which migrations ran": "drop table alembic_version",
}


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def connects(dsn: str) -> bool:
    """Whether the database lets this role in."""
    try:
        async with session(dsn):
            return True
    except asyncpg.InsufficientPrivilegeError:
        return False


async def allowed(connection: "asyncpg.Connection[Any]", statement: str) -> bool:
    """Whether the role may run the statement, which is undone."""
    work = connection.transaction()
    await work.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return False
    except asyncpg.ActiveSQLTransactionError:
        stands_alone = True
    else:
        return True
    finally:
        await work.rollback()
    return stands_alone and await allowed_alone(connection, statement)


async def allowed_alone(connection: "asyncpg.Connection[Any]", statement: str) -> bool:
    """The same for what no transaction may hold."""
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_enters_its_own_database_alone(instance: Instance, service: str) -> None:
    places = [*SERVICES, "sandbox", "postgres", "template1"]
    open_to = {place for place in places if await connects(instance.dsn(place, service))}
    assert open_to == {service}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_owns_nothing_and_runs_no_ddl(instance: Instance, service: str) -> None:
    async with session(instance.dsn(service)) as connection:
        await connection.execute("select 1 from outbox")
        done = [deed for deed, sql in OF_THE_OWNER.items() if await allowed(connection, sql)]
    assert done == []


async def test_the_detector_sees_a_role_that_may_too_much(instance: Instance) -> None:
    audit_entries = {
        "make a table": OF_THE_OWNER["make a table"],
        "drop a table": "drop table outbox",
    }
    async with session(instance.dsn("cart", "migrator")) as connection:
        for deed, statement in audit_entries.items():
            assert await allowed(connection, statement), deed
    assert await connects(instance.dsn("cart", "postgres"))


async def test_the_migrator_is_no_superuser_and_reads_no_other_server(instance: Instance) -> None:
    async with session(instance.dsn("cart", "migrator")) as connection:
        of_others = ("make a role", "become the superuser", "read passwords", "run programs")
        done = [deed for deed in of_others if await allowed(connection, OF_THE_OWNER[deed])]
    assert done == []
    assert not await connects(instance.dsn("sandbox", "migrator"))


Attempt = Callable[[AbstractChannel], Awaitable[Any]]
QUORUM = {"x-queue-type": "quorum"}


def attempts_on(other: str, command: str) -> dict[str, Attempt]:
    """Everything one service must not do with what belongs to another."""
    message = aio_pika.Message(b"{}")

    async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
        found = await channel.get_exchange(exchange, ensure=False)
        await found.publish(message, key)

    async def bind(channel: AbstractChannel, queue: str, exchange: str, key: str) -> None:
        found = await channel.get_queue(queue, ensure=False)
        await found.bind(exchange, key)

    async def read(channel: AbstractChannel, queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(fail=False)

    async def purge(channel: AbstractChannel, queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).purge()

    async def bound(channel: AbstractChannel) -> None:
        """A queue of another service, bound to receive what is sent to it."""
        await bind(channel, f"svc.{other}", "events", "#")

    return {
        "publish another's event": lambda c: publish(c, "events", f"{other}.Loot"),
        "send a command that is not its own to send": lambda c: publish(c, "commands", command),
        "write to another's queue past the exchanges": lambda c: publish(c, "", f"svc.{other}"),
        "write to another's retries": lambda c: publish(c, f"svc.{other}.retry", "1"),
        "read another's queue": lambda c: read(c, f"svc.{other}"),
        "read another's dead letters": lambda c: read(c, f"svc.{other}.dead"),
        "empty another's queue": lambda c: purge(c, f"svc.{other}"),
        "bind another's queue": bound,
        "remove another's queue": lambda c: c.queue_delete(f"svc.{other}"),
        "declare a queue of another": lambda c: c.declare_queue(
            f"svc.{other}.loot", durable=True, arguments=QUORUM
        ),
        "declare a queue without an owner": lambda c: c.declare_queue("loot", arguments=QUORUM),
        "declare an exchange": lambda c: c.declare_exchange("loot"),
        "remove the events": lambda c: c.exchange_delete("events"),
        "remove the log of all events": lambda c: c.queue_delete("events.log"),
    }


async def refused(url: str, attempt: Attempt) -> bool:
    """Whether the broker answers that this user may not; a refusal ends the channel."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        try:
            await attempt(channel)
        except aiormq.exceptions.ChannelAccessRefused:
            return True
        return False


def forbidden_command(service: str) -> str:
    """A command this service is not among the senders of."""
    messages = registry.all_messages().values()
    commands = [m for m in messages if issubclass(m, Command) and service not in m.senders]
    return commands[0].routing_key()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_user_neither_reads_nor_writes_nor_declares_what_is_anothers(
    instance: Instance, service: str
) -> None:
    other = next(name for name in SERVICES if name != service)
    attempts = attempts_on(other, forbidden_command(service))
    url = instance.broker_url(service)
    answers = await asyncio.gather(*(refused(url, attempt) for attempt in attempts.values()))
    assert [
        deed for deed, was_refused in zip(attempts, answers, strict=True) if not was_refused
    ] == []


async def test_a_user_reads_commands_to_itself_alone(instance: Instance) -> None:
    async def listen_to(channel: AbstractChannel, key: str) -> None:
        queue = await channel.declare_queue(
            f"svc.cart.{secrets.token_hex(4)}", exclusive=True, auto_delete=True
        )
        await queue.bind("commands", key)

    url = instance.broker_url("cart")
    for key in ("payments.CollectPayment", "#", "*.CollectPayment"):
        assert await refused(url, partial(listen_to, key=key)), key
    assert not await refused(url, lambda channel: listen_to(channel, "cart.Anything"))


async def test_the_detector_sees_a_user_that_may_everything(instance: Instance) -> None:
    async def send(channel: AbstractChannel) -> None:
        # Without a binding, so that no queue receives it.
        commands = await channel.get_exchange("commands", ensure=False)
        await commands.publish(aio_pika.Message(b"{}"), "unbound.Loot", mandatory=False)

    assert not await refused(instance.broker_url("admin"), send)
    assert await refused(instance.broker_url("cart"), send)
