"""The provider as a process of its own on a real PostgreSQL, and the shop's end of its webhooks."""

import os
from collections.abc import Iterator

import pytest

from testkit.databases import empty_database
from testkit.payment_provider import ProviderProcess, Receiver


@pytest.fixture(scope="session")
def sandbox_database() -> Iterator[str]:
    with empty_database(f"sandbox_test_{os.getpid()}") as url:
        yield url


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def provider(sandbox_database: str, receiver: Receiver) -> Iterator[ProviderProcess]:
    process = ProviderProcess(
        database_url=sandbox_database,
        webhook_url=receiver.url,
        WEBHOOK_RETRY_SECONDS="[0.1, 0.2]",
        SLOW_SECONDS="0.5",
        HANG_SECONDS="30",
        LATE_WEBHOOK_SECONDS="0.7",
    )
    process.start()
    yield process
    process.close()
