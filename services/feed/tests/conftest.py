"""The feed on a test database, and fixtures that append events and grant tokens."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from foreign import shop, vhost

from chassis.ids import new_id
from contracts import catalogue, structured
from feed import store
from feed.main import service
from feed.settings import FeedSettings
from subscriber import Logged
from testkit.harness import Harness, running_service, template_of

__all__ = ["shop", "vhost"]

Append = Callable[..., Awaitable[list[Logged]]]
Grant = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest_asyncio.fixture
async def feed(template: str) -> AsyncIterator[Harness[FeedSettings]]:
    async for harness in running_service(service, template):
        yield harness


@pytest.fixture
def operator(feed: Harness[Any]) -> dict[str, str]:
    return feed.signed_in(permissions=("ops:read", "ops:write"))


def example(name: str, offset: int, **changes: Any) -> Logged:
    """An event of the catalogue at an offset of the log."""
    entry = catalogue.find(name)
    assert entry is not None
    envelope, data = structured.read(entry.example)
    changed = {"id": new_id(), "time": datetime.now(UTC), **changes}
    return Logged(offset, replace(envelope, **changed), data)


@pytest.fixture
def append(feed: Harness[Any]) -> Append:
    """Append events from a position on, as the copy of the log does."""

    async def append_examples(*names: str, start: int = 0, **changes: Any) -> list[Logged]:
        events: Sequence[Logged] = [example(n, start + i, **changes) for i, n in enumerate(names)]
        async with feed.transaction() as tx:
            await store.append_events(tx, events)
        return list(events)

    return append_examples


@pytest.fixture
def grant(feed: Harness[Any], operator: dict[str, str]) -> Grant:
    """Grant a system access; returns its headers."""

    async def grant_access(name: str = "billing", *types: str) -> dict[str, str]:
        body = {"types": list(types)} if types else {}
        url = f"/v1/admin/subscribers/{name}"
        answer = await feed.client.put(url, json=body, headers=operator)
        assert answer.status_code == 200, answer.text
        return {"X-Feed-Token": answer.json()["token"]}

    return grant_access
