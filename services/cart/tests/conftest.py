"""The cart service on a database of its own, with fake peers."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cart.main import service
from testkit.harness import running_service, template_of

from .shop import FakePeers, Shop


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def shop(template: str) -> AsyncIterator[Shop]:
    peers = FakePeers()
    urls = {f"{name}_url": f"http://{name}" for name in ("promotions", "shipping", "orders")}
    async for harness in running_service(service, template, answers=peers.answer, **urls):
        yield Shop(harness, peers)
