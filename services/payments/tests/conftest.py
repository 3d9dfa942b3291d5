"""Payments on a database of its own, with the real provider process beside it.

The provider's webhooks arrive at a receiver; tests forward them when they choose, signed as received.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from payments.main import service
from payments.settings import PaymentsSettings
from testkit.databases import empty_database
from testkit.harness import Harness, running_service, template_of
from testkit.payment_provider import API_KEY, WEBHOOK_SECRET, ProviderProcess, Receiver


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def provider(receiver: Receiver) -> Iterator[ProviderProcess]:
    with empty_database(f"sandbox_of_payments_{os.getpid()}") as database:
        process = ProviderProcess(
            database_url=database,
            webhook_url=receiver.url,
            SLOW_SECONDS="0.3",
            HANG_SECONDS="30",
            LATE_WEBHOOK_SECONDS="0.3",
        )
        process.start()
        yield process
        process.close()


@pytest_asyncio.fixture
async def payments(
    template: str, provider: ProviderProcess
) -> AsyncIterator[Harness[PaymentsSettings]]:
    async for harness in running_service(
        service,
        template,
        provider_url=provider.url,
        provider_api_key=API_KEY,
        provider_webhook_secret=f"whsec_YW5vdGhlciBzZWNyZXQ= {WEBHOOK_SECRET}",
        provider_timeout=3.0,
        action_check_after=0.05,
        charge_settles_after=60.0,
    ):
        yield harness
