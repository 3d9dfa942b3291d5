"""The detached process that starts, restarts and stops all others."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from suite import plan
from suite.control import LOCK, SOCKET
from suite.orphans import MARK
from suite.plan import Process

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
# After this uptime the backoff of restarts begins with its first pause again.
STABLE_AFTER = 10.0


class Child:
    """One supervised process: its specification and its state."""

    def __init__(self, spec: Process, instance: Path) -> None:
        self.spec = spec
        self.instance = instance
        self.process: asyncio.subprocess.Process | None = None
        self.state = "stopped"
        self.restarts = 0
        self.since: float | None = None
        self.restarter: asyncio.Task[None] | None = None
        # Cancelling the task between spawning a process and storing it would lose the process.
        self.spawning = asyncio.Lock()

    async def start(self) -> None:
        """Start the process and restart it whenever it ends; skips the pause before a restart."""
        if self.state == "waiting":
            await self.stop()
        if self.restarter is None or self.restarter.done():
            self.restarts = 0
            self.restarter = asyncio.create_task(self._restart_forever())

    async def _restart_forever(self) -> None:
        """Run the process, again after each end, until the task is cancelled."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                async with self.spawning:
                    self.process = await self._spawn()
                self.state, self.since = "running", time.time()
                code = await self.process.wait()
                _log(f"{self.spec.name} ended with {code}")
            except OSError as reason:
                _log(f"{self.spec.name} cannot be started: {reason}")
            pause = FIRST_PAUSE if time.monotonic() - began > STABLE_AFTER else pause
            self.state = "waiting"
            self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _spawn(self) -> asyncio.subprocess.Process:
        identity: dict[str, Any] = {}
        if os.geteuid() == 0 and self.spec.user is not None:
            identity = {"user": self.spec.user, "group": self.spec.group, "extra_groups": []}
        with (self.instance / "logs" / f"{self.spec.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.command,
                cwd=self.spec.cwd,
                env={**self.spec.env, MARK: str(self.instance)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **identity,
            )

    async def stop(self, *, by_force: bool = False) -> None:
        """Send the stop signal; after the grace, SIGKILL the process and its group."""
        if self.restarter:
            async with self.spawning:
                self.restarter.cancel()
            await asyncio.wait([self.restarter])
        process = self.process
        if process is not None:
            if process.returncode is None and not by_force:
                process.send_signal(self.spec.stop_signal)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(process.wait(), self.spec.grace)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        self.process, self.state, self.since = None, "stopped", None

    def status(self) -> dict[str, Any]:
        """Return the fields of control.ProcessStatus."""
        running = self.process is not None and self.process.returncode is None
        return {
            "state": self.state,
            "pid": self.process.pid if running and self.process else None,
            "restarts": self.restarts,
            "since": self.since,
        }


class Supervisor:
    """All children of one instance, and the commands on them."""

    def __init__(self, instance: Path, state: Path) -> None:
        self.instance = instance
        self.state = state
        self.children: dict[str, Child] = {}
        self.shutdown = asyncio.Event()
        # Commands that change processes run one after another.
        self.changing = asyncio.Lock()

    async def run(self) -> None:
        """Serve commands until shutdown, then stop every child."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.shutdown.set)
        socket = self.state / SOCKET
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path=socket)
        socket.chmod(0o600)
        _log(f"supervisor {os.getpid()} is ready")
        await self.shutdown.wait()
        async with self.changing:
            await self._stop_all()
        server.close()
        socket.unlink(missing_ok=True)
        _log("everything is stopped")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A health check connects and closes without a command.
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            if line := await reader.readline():
                request = json.loads(line)
                try:
                    answer = await self._dispatch(request["command"], request["names"])
                except KeyError as unknown:
                    answer = {"refused": f"there is no process {unknown}."}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async def _dispatch(self, command: str, names: list[str]) -> dict[str, Any]:
        if self.shutdown.is_set():
            return {"refused": "the suite is being stopped."}
        match command:
            case "status":
                pass
            case "shutdown":
                self.shutdown.set()
            case "start" | "stop" | "restart" | "kill":
                async with self.changing:
                    if command != "start":
                        by_force = command == "kill"
                        await self._stop((self.children[name] for name in names), by_force=by_force)
                    if command in ("start", "restart"):
                        await self._start(names)
            case _:
                return {"refused": f"there is no command {command!r}."}
        return {name: child.status() for name, child in self.children.items()}

    async def _start(self, names: Iterable[str]) -> None:
        """Start processes that are not running, from the current plan.

        A process whose specification changed is restarted; one that the plan dropped is stopped.
        """
        specs = plan.read(self.instance / "plan.json")
        dropped = [child for name, child in self.children.items() if name not in specs]
        await self._stop(dropped)
        for child in dropped:
            del self.children[child.spec.name]
        for name in names:
            child = self.children.setdefault(name, Child(specs[name], self.instance))
            if child.spec != specs[name]:
                await child.stop()
                child.spec = specs[name]
            await child.start()

    async def _stop(self, children: Iterable[Child], *, by_force: bool = False) -> None:
        await asyncio.gather(*(child.stop(by_force=by_force) for child in children))

    async def _stop_all(self) -> None:
        """Stop tier by tier, in the reverse order of starting."""
        for tier in sorted({child.spec.tier for child in self.children.values()}, reverse=True):
            await self._stop(c for c in self.children.values() if c.spec.tier == tier)


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), line, flush=True)


def use_batch_scheduling() -> None:
    """Schedule this process and its children as SCHED_BATCH: a wakeup preempts no other process.

    Two dozen processes share one machine. By default a checkout under load suffers 60 to 70
    preemptions, under SCHED_BATCH ten: 8 % less processor time (docs/performance.md).
    """
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(instance: Path, state: Path) -> None:
    """Detach, take the lock of the instance's only supervisor, and supervise."""
    if os.fork():
        os._exit(0)
    with (instance / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log("another supervisor is running")
            return
        (instance / "supervisor.pid").write_text(f"{os.getpid()}\n")
        use_batch_scheduling()

        async def supervise() -> None:
            await Supervisor(instance, state).run()

        asyncio.run(supervise())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
