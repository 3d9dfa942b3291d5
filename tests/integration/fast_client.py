"""A client for tests that send thousands of requests: httpx's answers from aiohttp's wire.

httpx's own pool looks at every connection for every request, and its client prepares each request
at length, which made the sender the slowest part of such tests.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import aiohttp
import httpx
from yarl import URL

# What a path may hold as it stands; a percent sign begins what is encoded already.
SAFE = "/%:@!$&'()*+,;=~"


class FastClient:
    """Sends requests as they are, and reads each answer whole; raises httpx.NetworkError."""

    def __init__(self, base_url: str, seconds: float, connections: int) -> None:
        """Take where to send, the time limit of a request, and how many run at once."""
        self._base_url = base_url
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._connections = connections

    async def __aenter__(self) -> Self:
        """Open, in the loop that runs now."""
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to one request; `path` and `params` are encoded where they must be."""
        query = f"?{urlencode(params)}" if params else ""
        url = URL(f"{self._base_url}{quote(path, safe=SAFE)}{query}", encoded=True)
        try:
            async with self._session.request(
                method, url, data=content, headers=headers, allow_redirects=False
            ) as answer:
                # Its body is decoded already, so the header is dropped.
                received = [
                    (k, v) for k, v in answer.raw_headers if k.lower() != b"content-encoding"
                ]
                body = await answer.read()
                return httpx.Response(answer.status, headers=received, content=body)
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.NetworkError(f"{type(error).__name__}: {error}") from error
