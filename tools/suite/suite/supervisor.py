"""The detached process that keeps all others running, and stops them."""

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
# Who has run this long is well: its next end is met with the first pause again.
STEADY_AFTER = 10.0


class Child:
    """One supervised process: what it should be, and what it is."""

    def __init__(self, spec: Process, instance: Path) -> None:
        self.spec = spec
        self.instance = instance
        self.process: asyncio.subprocess.Process | None = None
        self.state = "stopped"
        self.restarts = 0
        self.since: float | None = None
        self.keeper: asyncio.Task[None] | None = None
        # A keeper cancelled between making a process and noting it would lose it.
        self.spawning = asyncio.Lock()

    async def start(self) -> None:
        """Begin to keep the process running; what waits for its next try gets it now."""
        if self.state == "waiting":
            await self.stop()
        if self.keeper is None or self.keeper.done():
            self.restarts = 0
            self.keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Keep the process running until the task is cancelled."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                async with self.spawning:
                    self.process = await self._spawn()
                self.state, self.since = "running", time.time()
                code = await self.process.wait()
                _say(f"{self.spec.name} ended with {code}")
            except OSError as reason:
                _say(f"{self.spec.name} cannot be started: {reason}")
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY_AFTER else pause
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
        """Ask the process to leave; after its grace end it, and what it left behind, by force."""
        if self.keeper:
            async with self.spawning:
                self.keeper.cancel()
            await asyncio.wait([self.keeper])
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
    """All children of one instance, and the commands that concern them."""

    def __init__(self, instance: Path, state: Path) -> None:
        self.instance = instance
        self.state = state
        self.children: dict[str, Child] = {}
        self.over = asyncio.Event()
        # Commands that change something run one after another.
        self.changing = asyncio.Lock()

    async def run(self) -> None:
        """Serve commands until told to shut down, then leave nothing running."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.over.set)
        socket = self.state / SOCKET
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path=socket)
        socket.chmod(0o600)
        _say(f"supervisor {os.getpid()} is ready")
        await self.over.wait()
        async with self.changing:
            await self._stop_all()
        server.close()
        socket.unlink(missing_ok=True)
        _say("everything is stopped")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who only wanted to know whether anybody listens is gone by now.
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            if line := await reader.readline():
                request = json.loads(line)
                try:
                    answer = await self._obey(request["command"], request["names"])
                except KeyError as unknown:
                    answer = {"refused": f"there is no process {unknown}."}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async def _obey(self, command: str, names: list[str]) -> dict[str, Any]:
        if self.over.is_set():
            return {"refused": "the suite is being stopped."}
        match command:
            case "status":
                pass
            case "shutdown":
                self.over.set()
            case "start" | "stop" | "restart" | "fell":
                async with self.changing:
                    if command != "start":
                        by_force = command == "fell"
                        await self._stop((self.children[name] for name in names), by_force=by_force)
                    if command in ("start", "restart"):
                        await self._start(names)
            case _:
                return {"refused": f"there is no command {command!r}."}
        return {name: child.status() for name, child in self.children.items()}

    async def _start(self, names: Iterable[str]) -> None:
        """Start what is not running, from the plan as it is now.

        What the plan has changed is restarted; what it no longer holds is stopped and forgotten.
        """
        specs = plan.read(self.instance / "plan.json")
        gone = [child for name, child in self.children.items() if name not in specs]
        await self._stop(gone)
        for child in gone:
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
        """Stop tier by tier, those started last first."""
        for tier in sorted({child.spec.tier for child in self.children.values()}, reverse=True):
            await self._stop(c for c in self.children.values() if c.spec.tier == tier)


def _say(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), line, flush=True)


def _be_patient() -> None:
    """Let nobody be interrupted by somebody who wakes up: each has its turn, and none is lost.

    Two dozen processes share one machine. By default a checkout of a busy suite suffers 60 to 70
    such interruptions, and under SCHED_BATCH ten: 8 % less processor time (docs/performance.md).
    Processes inherit it.
    """
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(instance: Path, state: Path) -> None:
    """Detach, make sure to be the only supervisor of the instance, and supervise."""
    if os.fork():
        os._exit(0)
    with (instance / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another supervisor is at work")
            return
        (instance / "supervisor.pid").write_text(f"{os.getpid()}\n")
        _be_patient()

        async def supervise() -> None:
            await Supervisor(instance, state).run()

        asyncio.run(supervise())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
