"""The sample service on a database of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from broker_harness import line  # noqa: F401 - a fixture
from sample.service import service

from chassis.settings import ServiceSettings
from testkit.harness import Harness, running_service, template_of


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def sample(template: str) -> AsyncIterator[Harness[ServiceSettings]]:
    async for harness in running_service(service, template):
        yield harness
