"""Notifications with its own database and a real mail catcher."""

from collections.abc import AsyncIterator, Iterator

# The first call to a peer imports it, which may take longer than the time limit of these tests.
import aiohttp  # noqa: F401
import pytest
import pytest_asyncio

from notifications.main import service
from notifications.settings import NotificationsSettings
from testkit.harness import Harness, running_service, template_of
from testkit.mail_catcher import CatcherProcess

from .link_owner import LinkOwner, running_link_owner
from .mail_harness import MailHarness

TIERS = [0.05, 0.1]


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest.fixture(scope="session")
def catcher_process() -> Iterator[CatcherProcess]:
    process = CatcherProcess()
    process.start()
    yield process
    process.close()


@pytest.fixture
def catcher(catcher_process: CatcherProcess) -> CatcherProcess:
    if not catcher_process.is_running:
        catcher_process.start()
    catcher_process.reset()
    return catcher_process


@pytest_asyncio.fixture
async def owner() -> AsyncIterator[LinkOwner]:
    async with running_link_owner() as owner:
        yield owner


@pytest_asyncio.fixture
async def mails(
    template: str, catcher: CatcherProcess, owner: LinkOwner
) -> AsyncIterator[MailHarness]:
    async for harness in running_service(
        service,
        template,
        smtp_host="127.0.0.1",
        smtp_port=catcher.smtp_port,
        smtp_timeout=0.5,
        smtp_connections=2,
        mail_batch=3,
        mail_from="Cartwright <shop@cartwright.example>",
        mail_retry_tiers=TIERS,
        identity_url=owner.url,
        orders_url=owner.url,
    ):
        yield MailHarness(harness, catcher, harness.running.resources.mail_dispatcher)


@pytest.fixture
def notifications(mails: MailHarness) -> Harness[NotificationsSettings]:
    return mails.harness
