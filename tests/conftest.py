"""The whole suite, started once for all tests that want it, with a subscriber of every event."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from failures import may_fail
from invariants import InvariantChecker
from recorder import Recorder, recording
from shopfloor import Buyer, Staff, staff_of
from suite import repository
from suite.instance import Instance
from suite.sdk import Sdk
from testkit.conformance import Declared, check_declared
from testkit.harness import PLAIN

PATIENT = httpx.Timeout(40.0)
# Seconds a test may take. One of the whole suite may be the first, which also starts the suite; an
# attack that only `make faults` runs takes minutes.
WHOLE_SUITE_LIMIT = 1200
ATTACK_LIMIT = 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that need more than the usual time limit one of their own."""
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(ATTACK_LIMIT))
        elif "instance" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(WHOLE_SUITE_LIMIT))


@pytest.fixture(scope="session")
def clients() -> Sdk:
    """Both generated client libraries, built."""
    made = Sdk(repository.ROOT, print)
    made.build()
    return made


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """The running suite; on servers of its own, gone after the tests."""
    folder = os.environ.get("TEST_INSTANCE")
    if not folder:
        raise RuntimeError("TEST_INSTANCE is not set: run the tests with `make test`")
    running = Instance(
        Path(folder),
        profile="test",
        overrides=may_fail(Path(folder)),
        layout=os.environ.get("LAYOUT") or None,
    )
    running.start()
    yield running


@pytest.fixture(scope="session")
def recorder(instance: Instance) -> Iterator[Recorder]:
    """A foreign subscriber of everything."""
    with recording(instance) as recorder:
        yield recorder


@pytest_asyncio.fixture
async def books(instance: Instance, recorder: Recorder) -> AsyncIterator[InvariantChecker]:
    """Everything there is to check."""
    async with aclosing(InvariantChecker(instance, recorder)) as checker:
        yield checker


@pytest.fixture(scope="session")
def api_document(instance: Instance) -> dict[str, Any]:
    """The document of the whole API, as clients read it."""
    wait_limit = time.monotonic() + 120
    while True:
        answer = httpx.get(f"{instance.url('gateway')}/docs/openapi.json", timeout=PATIENT)
        document: dict[str, Any] = answer.raise_for_status().json()
        # Each service builds its document at the first request, which a busy machine delays.
        if "Not reachable" not in (description := document["info"]["description"]):
            return document
        assert time.monotonic() < wait_limit, description
        time.sleep(0.5)


@pytest.fixture(scope="session")
def declared(api_document: dict[str, Any]) -> Declared:
    """What every operation may answer."""
    return Declared(api_document)


@pytest_asyncio.fixture
async def http(instance: Instance, declared: Declared) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway; an answer that the API does not declare fails the test."""
    async with httpx.AsyncClient(
        base_url=instance.url("gateway"),
        verify=PLAIN,
        timeout=PATIENT,
        limits=httpx.Limits(max_connections=300),
        event_hooks={"response": [check_declared(declared)]},
    ) as client:
        yield client


_opened: list[Staff] = []


@pytest_asyncio.fixture
async def staff(http: httpx.AsyncClient, instance: Instance, recorder: Recorder) -> Staff:
    """Staff with every permission, in a shop that is open."""
    made = await staff_of(instance, http)
    if not _opened:
        await made.open_shop()
        _opened.append(made)
    made.category_id, made.warehouses = _opened[0].category_id, _opened[0].warehouses
    made.shipping_method_id = _opened[0].shipping_method_id
    return made


@pytest.fixture
def buyer(http: httpx.AsyncClient, staff: Staff) -> Buyer:
    """A guest."""
    return Buyer(http, staff)


@pytest_asyncio.fixture
async def at_rest(books: InvariantChecker) -> AsyncIterator[InvariantChecker]:
    """After the test: wait until all is at rest, and find every invariant holding."""
    yield books
    await books.settle()
    assert await books.violations() == []
