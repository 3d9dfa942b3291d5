"""What every attack needs: the seed, the crash points, a client that never gives up."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from chaos_buyers import Persistent
from failures import CrashPoints
from load import LONG_STAGES, SCARCE_PIECES, Load, gather_load
from shopfloor import Staff
from suite.instance import Instance

SEED = 20261121


def seed_in_use() -> int:
    """FAULTS_SEED, or the fixed one."""
    return int(os.environ.get("FAULTS_SEED") or SEED)


def pytest_report_header() -> str:
    """The seed comes first: FAULTS_SEED replays it."""
    return f"faults: seed {seed_in_use()} (FAULTS_SEED={seed_in_use()} replays it)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long attacks to `make faults`, and of those what belongs to other parts."""
    mine = [item for item in items if "faults" in item.path.parts]
    chosen = mine
    if not os.environ.get("FAULTS_FULL"):
        chosen = [item for item in mine if not item.get_closest_marker("full")]
    if part := os.environ.get("FAULTS_PART"):
        number, _, of = part.partition("/")
        chosen = [item for i, item in enumerate(chosen) if i % int(of) == int(number) - 1]
    left = [item for item in mine if item not in chosen]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@pytest.fixture
def seed() -> int:
    """What all chance is drawn from."""
    return seed_in_use()


@pytest.fixture
def crash_points(instance: Instance) -> Iterator[CrashPoints]:
    """Where to order failures; what has not happened by the end will not happen."""
    points = CrashPoints(instance.folder / "crash-points")
    yield points
    points.withdraw()


@pytest.fixture
def client(http: httpx.AsyncClient) -> Persistent:
    """A client that repeats what broke off."""
    return Persistent(http, wait_limit=300)


@pytest_asyncio.fixture
async def long_stages(instance: Instance, staff: Staff) -> AsyncIterator[None]:
    """Checkouts that outlast an outage, so that it is not cancellations that are counted."""
    longer = Instance(instance.folder, "test", overrides={**instance.overrides, **LONG_STAGES})
    await asyncio.to_thread(longer.start)
    yield
    await asyncio.to_thread(instance.start)


@pytest_asyncio.fixture
async def crowd(long_stages: None, staff: Staff, client: Persistent) -> Load:
    """Buyers about to come."""
    return await gather_load(staff, client, scarce=SCARCE_PIECES)
