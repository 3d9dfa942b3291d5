"""A server as a process of its own, for the tests of those who call it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import httpx

READY_TIMEOUT = 120.0


def free_port() -> int:
    """A port of the loopback address without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`python -m <module>`, on one port over all restarts; its log spans them."""

    def __init__(self, module: str, headers: dict[str, str], **environment: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=20)
        self._command = [sys.executable, "-m", module]
        self._environment = {"HOST": "127.0.0.1", "PORT": str(port), **environment}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open until close
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None

    def start(self) -> None:
        """Start it and return when it is ready."""
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own
            self._command, env=os.environ | self._environment, stdout=self._log, stderr=self._log
        )
        give_up = time.monotonic() + READY_TIMEOUT
        with contextlib.ExitStack() as failed:
            # After an interrupt too: no fixture closes a process that did not become ready.
            failed.callback(self.kill)
            while not self._is_ready():
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise AssertionError(self.log())
                time.sleep(0.05)
            failed.pop_all()

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning, as a power cut would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, with the client and the log."""
        self.stop()
        self.client.close()
        self._log.close()

    def log(self) -> str:
        """The log of all runs."""
        written = self._log.fileno()
        # Reading by position leaves the offset alone, at which the process writes on.
        return os.pread(written, os.fstat(written).st_size, 0).decode()

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").is_success
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
