"""The HTTP feed of events, for systems without AMQP and to fill gaps."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from contracts import structured
from contracts.envelope import Envelope
from subscriber.delivery import Raw

TIMEOUT = 10.0
PAGE = 100
TOKEN_HEADER = "X-Feed-Token"  # noqa: S105 (a name, not a secret)


class FeedRefused(Exception):
    """The feed returned a problem, which is the message."""


@dataclass
class Feed:
    """The feed at a gateway's URL, read with a subscriber's token."""

    url: str
    token: str = field(repr=False)
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=TIMEOUT))

    async def page(self, after: str = "", **query: Any) -> tuple[Sequence[Raw], str]:
        """The events after a cursor, at most 100, and the next cursor.

        query: `type` (one name or several), `subject`, `source`, `limit`. Raises FeedRefused.
        """
        parameters = {"limit": PAGE, **({"after": after} if after else {}), **query}
        answer = await self.client.get(
            f"{self.url.rstrip('/')}/v1/events",
            params=parameters,
            headers={TOKEN_HEADER: self.token},
        )
        if answer.is_error:
            raise FeedRefused(f"{answer.status_code}: {answer.text[:500]}")
        found = structured.read_batch(answer.content, "items")
        return found, str(answer.json()["next_cursor"])

    async def read(self, after: str = "", **query: Any) -> AsyncIterator[tuple[Envelope, bytes]]:
        """All events after a cursor, up to now."""
        while True:
            found, after = await self.page(after, **query)
            for each in found:
                yield each
            if not found:
                return

    async def between(self, envelope: Envelope, known: int) -> Sequence[Raw]:
        """The events of the envelope's aggregate after number `known` and before its own."""
        last = envelope.sequence or 0
        events = [
            each async for each in self.read(source=envelope.source, subject=envelope.subject)
        ]
        return [(found, data) for found, data in events if known < (found.sequence or 0) < last]

    async def request_snapshots(self, snapshots: Sequence[str], queue: str = "events") -> None:
        """Request snapshots such as `catalog.ProductSnapshot`, which arrive in your queue.

        Raises FeedRefused for an unknown or forbidden type, and for a missing queue.
        """
        answer = await self.client.post(
            f"{self.url.rstrip('/')}/v1/events/snapshots",
            json={"types": list(snapshots), "queue": queue},
            headers={TOKEN_HEADER: self.token},
        )
        if answer.is_error:
            raise FeedRefused(f"{answer.status_code}: {answer.text[:500]}")

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()
