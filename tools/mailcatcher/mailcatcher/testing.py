"""The mail catcher as a process that a test starts, configures and stops."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PACKAGE = Path(__file__).parents[1]
READY_TIMEOUT = 120.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class CatcherProcess:
    """A mail catcher; it has the same ports after a restart, so that senders can reconnect."""

    def __init__(self) -> None:
        self.smtp_port = _free_port()
        self.port = _free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        path = [str(PACKAGE), os.environ.get("PYTHONPATH", "")]
        environment = {
            "HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
            "PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(path),
        }
        command = [sys.executable, "-m", "mailcatcher"]
        self.process = subprocess.Popen(command, env=os.environ | environment)  # noqa: S603
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the mail catcher did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the process, which loses its mails."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def close(self) -> None:
        """Stop the process and close the HTTP client."""
        self.stop()
        self.http.close()

    def list(self, **query: Any) -> list[dict[str, Any]]:
        """The caught mails, newest first; `query` is that of `GET /messages`."""
        answer = self.http.get("/messages", params=query)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def get(self, mail_id: int) -> dict[str, Any]:
        """One mail with its bodies and headers."""
        answer = self.http.get(f"/messages/{mail_id}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def refuse(self, times: int, *, permanently: bool = False) -> None:
        """Reject the next mails, temporarily or permanently."""
        behaviour = {"refuse": times, "for_good": permanently}
        self.http.post("/behaviour", json=behaviour).raise_for_status()

    def reset(self) -> None:
        """Delete all mails and reject none."""
        self.http.delete("/messages").raise_for_status()
        self.refuse(0)

    def _is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False
