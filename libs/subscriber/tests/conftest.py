"""A broker with the suite's exchanges and log in a virtual host of these tests' own, and a database."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
import pytest_asyncio
from foreign import Shop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cartwright.access import Broker
from chassis.testing import database_url, postgres_url


@pytest.fixture(scope="session")
def vhost() -> Iterator[tuple[httpx.Client, str, str]]:
    """The management API, the AMQP address without a login, and the name of the virtual host."""
    found = urlsplit(os.environ["TEST_BROKER_URL"])
    name = f"subscriber-{secrets.token_hex(4)}"
    with httpx.Client(base_url=os.environ["TEST_BROKER_API"], timeout=30) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        api.put(f"/api/permissions/{name}/{found.username}", json=everything).raise_for_status()
        yield api, f"amqp://{found.hostname}:{found.port}", name
        api.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest_asyncio.fixture
async def shop(vhost: tuple[httpx.Client, str, str]) -> AsyncIterator[Shop]:
    api, amqp, name = vhost
    found = urlsplit(os.environ["TEST_BROKER_URL"])
    url = f"amqp://{found.username}:{found.password}@{found.hostname}:{found.port}/{name}"
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for exchange in ("events", "commands"):
            await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        log = await channel.declare_queue(
            "events.log", durable=True, arguments={"x-queue-type": "stream"}
        )
        await log.bind("events", "#")
        services = await channel.declare_queue(
            "svc.orders", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await services.bind("commands", "orders.#")
        made = Shop(url, Broker(api, amqp, name))
        yield made
        for system in made.access.systems():
            made.access.remove(system)
        await channel.queue_delete("events.log")


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """A database of the test's own."""
    name = f"subscriber_{secrets.token_hex(6)}"
    admin = create_async_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"create database {name}"))
    made = create_async_engine(database_url(name))
    async with made.begin() as connection:
        await connection.execute(text("create table orders (id uuid primary key, told text)"))
        await connection.execute(text("create table effects (id uuid, what text)"))
    yield made
    await made.dispose()
    async with admin.connect() as connection:
        await connection.execute(text(f"drop database {name} with (force)"))
    await admin.dispose()
