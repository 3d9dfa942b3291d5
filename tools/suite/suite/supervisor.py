"""The detached process that starts, restarts and stops all others."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Listener
from pathlib import Path

from suite import logs, plan
from suite.control import LOCK, SOCKET, ProcessStatus
from suite.orphans import MARK
from suite.plan import Process
from suite.refusals import NotRunning

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
# After this uptime the backoff of restarts begins with its first pause again.
STABLE_AFTER = 10.0
# Seconds between two looks at the sizes of the logs.
ROTATION_INTERVAL = 5.0


class Child:
    """A process, started again whenever it ends, until it is stopped."""

    def __init__(self, spec: Process, instance: Path) -> None:
        self.spec = spec
        self.instance = instance
        self.process: subprocess.Popen[bytes] | None = None
        self.status = ProcessStatus("waiting")
        self.stopping = threading.Event()
        # A stop never comes between the look at `stopping` and the start.
        self.starting = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        pause, restarts = FIRST_PAUSE, 0
        while True:
            began = time.monotonic()
            with self.starting:
                if self.stopping.is_set():
                    return
                try:
                    self.process = self._start()
                    self.status = ProcessStatus("running", self.process.pid, restarts, time.time())
                except OSError as reason:
                    self.process = None
                    _log(f"{self.spec.name} cannot be started: {reason}")
            if self.process:
                _log(f"{self.spec.name} ended with {self.process.wait()}")
            pause = FIRST_PAUSE if time.monotonic() - began > STABLE_AFTER else pause
            restarts += 1
            self.status = ProcessStatus("waiting", None, restarts)
            self.stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _start(self) -> "subprocess.Popen[bytes]":
        with logs.open_private(self.instance / "logs" / f"{self.spec.name}.log") as log:
            return subprocess.Popen(
                self.spec.command,
                cwd=self.spec.cwd,
                env={**self.spec.env, MARK: str(self.instance)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.spec.identity,
            )

    def stop(self, *, by_force: bool = False) -> None:
        """Send the stop signal; after the grace, SIGKILL the process and its group."""
        with self.starting:
            self.stopping.set()
        if self.process:
            if not by_force:
                self.process.send_signal(self.spec.stop_signal)
                self.thread.join(self.spec.grace)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.thread.join()
        self.status = ProcessStatus("stopped")


class Supervisor:
    """All children of one instance, and the commands on them."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance
        self.children: dict[str, Child] = {}
        self.closing = False
        # Commands that change processes run one after another.
        self.changing = threading.Lock()

    def serve(self, socket: Path) -> None:
        """Answer the commands that arrive on a socket of its owner's, each in a thread."""
        socket.unlink(missing_ok=True)
        before = os.umask(0o077)
        listener = Listener(str(socket), backlog=64)
        os.umask(before)
        while True:
            channel = listener.accept()
            threading.Thread(target=self._answer, args=[channel], daemon=True).start()

    def _answer(self, channel: "Connection[object, tuple[str, list[str]]]") -> None:
        # A health check connects and closes without a command.
        with contextlib.suppress(EOFError, OSError), channel:
            command, names = channel.recv()
            try:
                channel.send(self._dispatch(command, names))
            except NotRunning as refused:
                channel.send(refused)

    def _dispatch(self, command: str, names: list[str]) -> dict[str, ProcessStatus]:
        if self.closing:
            raise NotRunning("the suite is being stopped.")
        if command == "shutdown":
            os.kill(os.getpid(), signal.SIGTERM)
        elif command != "status":
            with self.changing:
                if command != "start":
                    known = (self.children[name] for name in names if name in self.children)
                    _stop(known, by_force=command == "kill")
                if command in {"start", "restart"}:
                    self._start(names)
        return {name: child.status for name, child in self.children.items()}

    def _start(self, names: Iterable[str]) -> None:
        """Start processes that are not running, from the current plan.

        A process whose specification changed is restarted; one that the plan dropped is stopped.
        """
        specs = plan.read(self.instance / "plan.json")
        _stop(child for name, child in self.children.items() if name not in specs)
        self.children = {name: child for name, child in self.children.items() if name in specs}
        for name in names:
            known = self.children.get(name)
            if not known or known.status.state != "running" or known.spec != specs[name]:
                if known:
                    known.stop()
                self.children[name] = Child(specs[name], self.instance)

    def close(self) -> None:
        """Stop every process, tier by tier in the reverse order of starting."""
        self.closing = True
        with self.changing:
            children = self.children.values()
            for tier in sorted({child.spec.tier for child in children}, reverse=True):
                _stop(child for child in children if child.spec.tier == tier)


def _stop(children: Iterable[Child], *, by_force: bool = False) -> None:
    """Stop processes, all at once."""
    with ThreadPoolExecutor(max_workers=64) as pool:
        list(pool.map(lambda child: child.stop(by_force=by_force), children))


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), line, flush=True)


def main(instance: Path, state: Path) -> None:
    """Detach, take the lock of the instance's only supervisor, and supervise until SIGTERM."""
    if os.fork():
        os._exit(0)
    with (instance / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (instance / "supervisor.pid").write_text(f"{os.getpid()}\n")
        if hasattr(os, "SCHED_BATCH"):
            # Of the children too: a wakeup preempts no other process (docs/performance.md).
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        supervisor = Supervisor(instance)
        threading.Thread(target=supervisor.serve, args=[state / SOCKET], daemon=True).start()
        with contextlib.suppress(SystemExit):
            while True:
                try:
                    logs.rotate(instance / "logs")
                except OSError as reason:
                    _log(f"the logs cannot be rotated: {reason}")
                time.sleep(ROTATION_INTERVAL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.close()
        _log("everything is stopped")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
