"""The provider as a process of its own, with a client for tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

import sandbox_provider

GOOD = "tok_ok"
API_KEY = "sk_sandbox_test"
WEBHOOK_SECRET = "whsec_c2l4dGVlbiBieXRlcyBvaw=="  # noqa: S105  (of tests alone)
_PACKAGE = Path(sandbox_provider.__file__).parents[1]


class ProviderProcess:
    """Started, killed and restarted on one port; its log spans all restarts."""

    def __init__(self, *, database_url: str, webhook_url: str, **environment: str) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            "PORT": str(port),
            "API_KEY": API_KEY,
            "DATABASE_URL": database_url,
            "WEBHOOK_URL": webhook_url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "PYTHONPATH": os.pathsep.join([str(_PACKAGE), os.environ.get("PYTHONPATH", "")]),
        } | environment
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (open until close)
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=20
        )

    def start(self) -> None:
        """Start it and return when it is ready."""
        command = [sys.executable, "-m", "sandbox_provider"]
        environment = os.environ | self._environment
        self._process = subprocess.Popen(  # noqa: S603  (the command is our own)
            command, env=environment, stdout=self._log, stderr=self._log
        )
        give_up = time.monotonic() + 120
        with contextlib.ExitStack() as failed:
            # After an interrupt too: no fixture closes a process that did not become ready.
            failed.callback(self.kill)
            while not self._ready():
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise AssertionError(self.log())
                time.sleep(0.05)
            failed.pop_all()

    def kill(self) -> None:
        """End it without warning, as a power cut would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)
        self.client.close()
        self._log.close()

    def log(self) -> str:
        """The log of all runs."""
        self._log.seek(0)
        return self._log.read().decode()

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

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            try:
                self._process.wait(10)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None


def a_charge(token: str = GOOD, **changes: Any) -> dict[str, Any]:
    """A request for 19.99 USD by card, under a reference of its own."""
    charge = {"amount": 1999, "currency": "USD", "method": "card", "token": token}
    return charge | {"reference": str(uuid4())} | changes


def _expect(answer: httpx.Response, status: HTTPStatus) -> None:
    if answer.status_code != status:
        raise AssertionError(answer.text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
