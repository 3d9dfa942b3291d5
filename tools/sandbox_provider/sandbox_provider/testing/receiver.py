"""The shop's webhook endpoint: a small HTTP server that stores what it receives."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any


@dataclass(frozen=True)
class Received:
    """One webhook as received."""

    headers: dict[str, str]
    body: bytes

    @cached_property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def reference(self) -> str:
        """The reference of the charge it is about."""
        return str(self.event["data"]["reference"])


class Receiver:
    """Accepts every webhook, except as often as `refusals` counts for a reference."""

    def __init__(self) -> None:
        self.refusals: Counter[str] = Counter()
        self._received: list[Received] = []
        self._changed = Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        """The address for the provider."""
        return f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def of(self, reference: str) -> list[Received]:
        """The webhooks received for a reference so far."""
        return [received for received in self._received if received.reference == reference]

    def wait(self, reference: str, count: int = 1, seconds: float = 10) -> list[Received]:
        """Wait for `count` webhooks of the reference and return them."""
        return self.wait_until(reference, lambda received: len(received) >= count, seconds)

    def wait_until(
        self, reference: str, enough: Callable[[list[Received]], bool], seconds: float = 10
    ) -> list[Received]:
        """Wait until `enough` accepts the webhooks of the reference and return them."""
        with self._changed:
            if not self._changed.wait_for(lambda: enough(self.of(reference)), seconds):
                raise AssertionError([received.event["type"] for received in self.of(reference)])
            return self.of(reference)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _receive(self, received: Received) -> int:
        with self._changed:
            self._received.append(received)
            self._changed.notify_all()
            if self.refusals[received.reference]:
                self.refusals[received.reference] -= 1
                return 500
            return 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # The sender was killed before the whole body was sent.
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver._receive(Received(headers, body)))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler
