"""The whole suite, started once for all tests here, with a subscriber that hears every event."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from invariants import Books, Recorder
from shopfloor import Buyer, Staff, sign_in
from suite.environment import ADMIN_EMAIL
from suite.instance import Instance

PATIENT = httpx.Timeout(40.0)


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """The running suite; on servers of its own, gone after the tests."""
    folder = os.environ.get("TEST_INSTANCE")
    if not folder:
        raise RuntimeError("TEST_INSTANCE is not set: run the tests with `make test`")
    running = Instance(Path(folder), profile="test")
    running.start()
    yield running


@pytest.fixture(scope="session")
def recorder(instance: Instance) -> Iterator[Recorder]:
    """A foreign subscriber, on a queue of its own bound to everything, in a thread of its own."""
    heard = Recorder()
    stop, ready = threading.Event(), threading.Event()

    async def listen() -> None:
        connection = await aio_pika.connect_robust(instance.broker_url())
        channel = await connection.channel()
        queue = await channel.declare_queue(
            "ext.recorder", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind("events", "#")
        # What was said between two runs would look like histories without a beginning.
        await queue.purge()

        async def note(message: AbstractIncomingMessage) -> None:
            headers = message.headers
            heard.note(
                str(headers["cloudEvents:source"]),
                str(headers["cloudEvents:subject"]),
                int(str(headers["cloudEvents:sequence"])),
                message.body,
            )
            await message.ack()

        await queue.consume(note)
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.1)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    assert ready.wait(30), "the recorder never came up"
    yield heard
    stop.set()
    thread.join(10)


@pytest.fixture(scope="session")
def books(instance: Instance, recorder: Recorder) -> Books:
    """Everything there is to check."""
    return Books(instance, recorder)


@pytest_asyncio.fixture
async def http(instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    limits = httpx.Limits(max_connections=300)
    async with httpx.AsyncClient(
        base_url=instance.url("gateway"), timeout=PATIENT, limits=limits
    ) as client:
        yield client


_opened: dict[str, Staff] = {}


@pytest_asyncio.fixture
async def staff(http: httpx.AsyncClient, instance: Instance, recorder: Recorder) -> Staff:
    """Somebody who may do everything, in a shop that is open."""
    password = instance.environment.secrets["admin:password"]
    token = await sign_in(http, ADMIN_EMAIL, password)
    made = Staff(http, token)
    if "shop" in _opened:
        known = _opened["shop"]
        made.category_id, made.warehouses = known.category_id, known.warehouses
        made.shipping_method_id = known.shipping_method_id
    else:
        await made.open_shop()
        _opened["shop"] = made
    return made


@pytest.fixture
def buyer(http: httpx.AsyncClient, staff: Staff) -> Buyer:
    """A guest."""
    return Buyer(http, staff)


@pytest_asyncio.fixture
async def at_rest(books: Books) -> AsyncIterator[Books]:
    """After the test: wait until all is at rest, and find every invariant holding."""
    yield books
    await books.settle()
    assert await books.violations() == []
