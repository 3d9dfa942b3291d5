"""A minimal keep-alive HTTP/1.1 client, which leaves the processor to the suite."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools

RESPONSE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and body of a response."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The code of a problem document, else the status as text."""
        try:
            return str(self.json().get("code") or self.status)
        except (ValueError, AttributeError):
            return str(self.status)


class Connection(asyncio.Protocol):
    """A connection to the base URL, for one request at a time; reconnects when closed."""

    def __init__(self, base_url: str) -> None:
        address = urlsplit(base_url)
        self.host = address.hostname or "127.0.0.1"
        self.tls = ssl.create_default_context() if address.scheme == "https" else None
        self.port = address.port or (443 if self.tls else 80)
        self._host_line = f"Host: {address.netloc}\r\n"
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and return the response; raises OSError, such as TimeoutError."""
        if self._transport is None or self._transport.is_closing():
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, self.host, self.port, ssl=self.tls)
        head = [f"{method} {path} HTTP/1.1\r\n", self._host_line]
        head += [f"{name}: {value}\r\n" for name, value in (headers or {}).items()]
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            head.append(f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n")
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
        assert self._transport is not None  # noqa: S101
        self._transport.write("".join(head).encode() + b"\r\n" + data)
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT):
                return await self._answer
        except TimeoutError:
            # A late response must not be taken for that of the next request.
            self.close()
            raise

    def close(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Feed the parser; invalid HTTP fails the request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as fault:
            self.connection_lost(ConnectionError(f"no HTTP answer: {fault}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending request."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                exc or ConnectionError("closed before the response was complete")
            )

    # Callbacks of the parser.

    def on_body(self, part: bytes) -> None:
        """Store a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Complete the pending request."""
        answer = Answer(self._parser.get_status_code(), b"".join(self._parts))
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
