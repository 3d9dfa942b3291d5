"""An HTTP transport that repeats what broke off or met an unavailable service, as good clients do."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

from chaos_buyers import PAUSE, UNAVAILABLE, still_running
from shopfloor import WAIT_LIMIT


@dataclass
class RetryingTransport(httpx.AsyncBaseTransport):
    """Sends each request, under the key it carries, until there is an answer.

    again: statuses that are no answer. seen: how often each status came; 0 is a broken connection.
    """

    again: tuple[int, ...] = UNAVAILABLE
    seen: Counter[int] = field(default_factory=Counter)
    inner: httpx.AsyncHTTPTransport = field(
        default_factory=lambda: httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=300))
    )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The first answer that is one."""
        async with asyncio.timeout(2 * WAIT_LIMIT):
            while True:
                try:
                    answer = await self.inner.handle_async_request(request)
                    await answer.aread()
                except httpx.TransportError:
                    self.seen[0] += 1
                else:
                    answer.request = request
                    self.seen[answer.status_code] += 1
                    if answer.status_code not in self.again and not still_running(answer):
                        return answer
                await asyncio.sleep(PAUSE)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.inner.aclose()

    @property
    def repeated(self) -> int:
        """How many requests had to be sent again."""
        return sum(self.seen[status] for status in (0, *self.again))
