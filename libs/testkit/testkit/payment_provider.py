"""The payment provider as a process of its own, and a receiver for its webhooks."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any
from uuid import uuid4

import httpx

from testkit.processes import ServerProcess

GOOD = "tok_ok"
API_KEY = "sk_sandbox_test"
WEBHOOK_SECRET = "whsec_c2l4dGVlbiBieXRlcyBvaw=="  # noqa: S105 - of tests alone


class ProviderProcess(ServerProcess):
    """The sandbox provider on a database of its own, with a client that has its key."""

    def __init__(self, *, database_url: str, webhook_url: str, **environment: str) -> None:
        super().__init__(
            "sandbox_provider",
            {"Authorization": f"Bearer {API_KEY}"},
            API_KEY=API_KEY,
            DATABASE_URL=database_url,
            WEBHOOK_URL=webhook_url,
            WEBHOOK_SECRET=WEBHOOK_SECRET,
            **environment,
        )

    def post(self, path: str, json: Any = None, key: str | None = None) -> httpx.Response:
        """POST under a key, a new one unless it is given."""
        headers = {"Idempotency-Key": key or str(uuid4())}
        return self.client.post(path, json=json, headers=headers)

    def charge(self, token: str = GOOD, **changes: Any) -> dict[str, Any]:
        """Make a charge of 19.99 USD by card and return it."""
        answer = self.post("/v1/charges", a_charge(token, **changes))
        _expect(answer, HTTPStatus.CREATED)
        charge: dict[str, Any] = answer.json()
        return charge

    def post_step(self, charge: dict[str, Any], step: str, **body: Any) -> dict[str, Any]:
        """Capture, cancel or refund, and return the charge."""
        answer = self.post(f"/v1/charges/{charge['id']}/{step}", body or None)
        _expect(answer, HTTPStatus.OK)
        changed: dict[str, Any] = answer.json()
        return changed

    def refusal(self, charge: dict[str, Any], step: str, **body: Any) -> str:
        """Post a step that must be refused and return the code."""
        answer = self.post(f"/v1/charges/{charge['id']}/{step}", body)
        _expect(answer, HTTPStatus.CONFLICT)
        return str(answer.json()["code"])

    def get(self, charge: dict[str, Any]) -> dict[str, Any]:
        """Read a charge."""
        answer = self.client.get(f"/v1/charges/{charge['id']}").raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def charges_of(self, reference: str) -> list[dict[str, Any]]:
        """List the charges of a reference, the newest first."""
        answer = self.client.get("/v1/charges", params={"reference": reference})
        charges: list[dict[str, Any]] = answer.raise_for_status().json()["charges"]
        return charges

    def balances(self, reference: str) -> dict[str, int]:
        """The balance of each account for one reference; they must sum to zero."""
        answer = self.client.get("/v1/ledger", params={"reference": reference})
        found: dict[str, int] = {}
        for entry in answer.raise_for_status().json()["entries"]:
            found[entry["account"]] = found.get(entry["account"], 0) + entry["amount"]
        if sum(found.values()):
            raise AssertionError(found)
        return {account: amount for account, amount in found.items() if amount}


def a_charge(token: str = GOOD, **changes: Any) -> dict[str, Any]:
    """A request for 19.99 USD by card, under a reference of its own."""
    charge = {"amount": 1999, "currency": "USD", "method": "card", "token": token}
    return charge | {"reference": str(uuid4())} | changes


def _expect(answer: httpx.Response, status: HTTPStatus) -> None:
    if answer.status_code != status:
        raise AssertionError(answer.text)


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
