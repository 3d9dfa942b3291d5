"""Inventory on a database of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.settings import ServiceSettings
from inventory.main import service
from testkit.harness import Harness, running_service, template_of

from .shop import Shop


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def inventory(template: str) -> AsyncIterator[Harness[ServiceSettings]]:
    async for harness in running_service(service, template):
        yield harness


@pytest_asyncio.fixture
async def shop(inventory: Harness[ServiceSettings]) -> AsyncIterator[Shop]:
    shop = await Shop.open(inventory)
    yield shop
    assert await shop.violations() == []
