"""The cart service on a database of its own, with neighbours played by an answering function."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cart.main import service
from chassis.testing import running_service, template_of

from .shop import Neighbours, Shop


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def shop(template: str) -> AsyncIterator[Shop]:
    neighbours = Neighbours()
    peers = {f"{name}_url": f"http://{name}" for name in ("promotions", "shipping", "orders")}
    async for harness in running_service(service, template, answers=neighbours.answer, **peers):
        yield Shop(harness, neighbours)
