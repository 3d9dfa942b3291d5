"""One instance of the suite: the folder of its ports, secrets and logs, and its control."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from suite import (
    account,
    control,
    orphans,
    plan,
    ports,
    processes,
    ready,
    repository,
    secrets,
    service_list,
    starting,
)
from suite.control import ProcessStatus
from suite.environment import Environment, Overrides
from suite.plan import Process
from suite.postgres import Cluster
from suite.rabbitmq import Broker
from suite.refusals import NotRunning

READY_DEADLINE = 180.0


def silent(_line: str) -> None:
    """Discard the report."""


class Instance:
    """A whole suite on this machine, in a folder of its own; every call blocks until it is done.

    `profile` is "up" or "test" (short deadlines, no rate limits). `overrides` are settings by
    service, "*" for all. `root` is the working tree. `report` receives one line per step. `layout`
    is "separate" (a process for each service) or "packed" (two processes for all); that of the last
    start by default.
    Several Instance objects, also in several programs, may control the same folder.
    """

    def __init__(
        self,
        folder: Path,
        profile: str = "up",
        *,
        overrides: Overrides | None = None,
        root: Path = repository.ROOT,
        report: Callable[[str], None] = silent,
        layout: str | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.profile = profile
        self.overrides = overrides or {}
        self.root = root
        self.report = report
        self._layout = layout
        self._loaded: Environment | None = None

    # Addresses, files and settings.

    @property
    def logs(self) -> Path:
        """The folder of all log files."""
        return self.folder / "logs"

    def log(self, name: str) -> Path:
        """Return the log file of a process or service, `supervisor`, or `<service>.migrate`."""
        with contextlib.suppress(NotRunning):
            name = plan.holder(self.processes(), name)
        return self.logs / f"{name}.log"

    @property
    def layout(self) -> str:
        """The layout of the next start."""
        is_packed = any(len(each.services) > 1 for each in self.processes().values())
        return self._layout or (processes.PACKED if is_packed else processes.SEPARATE)

    @property
    def environment(self) -> Environment:
        """Ports, secrets and settings as recorded; raises NotRunning before the first start."""
        if self._loaded is None:
            if not (self.folder / "ports.json").exists():
                raise NotRunning(f"nothing was started in {self.folder}: run `make up`.")
            self._loaded = self._environment(ports.recorded(self.folder / "ports.json"))
        return self._loaded

    def _environment(self, numbers: dict[str, int]) -> Environment:
        servers = account.server_account()
        state = account.state_folder(self.folder, servers)
        services = service_list.load(self.root)
        known = secrets.ensure(self.folder, services.values())
        is_ephemeral = self.profile == "test"
        return Environment(
            services=services,
            ports=numbers,
            secrets=known,
            cluster=Cluster(state / "postgres", numbers["postgres"], servers, known, is_ephemeral),
            broker=Broker(state / "rabbitmq", numbers, servers, known, is_ephemeral),
            profile=self.profile,
            overrides=self.overrides,
        )

    def url(self, name: str) -> str:
        """Return the base URL of a service, `gateway`, `sandbox_provider` or `mailcatcher`."""
        return self.environment.url(name)

    def dsn(self, service: str, role: str | None = None) -> str:
        """Return a `postgresql://` URL of a service's database.

        `role` is the service's own by default; `migrator` owns the tables, `postgres` is the
        superuser.
        """
        return self.environment.cluster.dsn(service, role or service)

    def broker_url(self, user: str = "admin") -> str:
        """Return the `amqp://` URL of a service's own user, or of the admin."""
        return self.environment.broker.url(user)

    def env(self, service: str) -> dict[str, str]:
        """Return the settings a service runs with, as environment variables."""
        return self.environment.of_service(service)

    # The whole instance.

    def start(self, *, servers_only: bool = False) -> None:
        """Start everything and wait until it is ready; repairs an instance that is partly running.

        Raises Refusal, which states what to do; processes that started continue, for inspection.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with control.holding(self.folder / "start.lock"):
            running = self._is_supervised()
            if not running:
                # Orphans of an earlier start have no supervisor; the servers survive SIGKILL.
                orphans.end(self.folder, by_force=True)
                # An earlier version of the runner may have written it.
                (self.folder / "plan.json").unlink(missing_ok=True)
            file = self.folder / "ports.json"
            claim = ports.assign(file, repository.services(self.root), claimed=running)
            self._loaded = self._environment(ports.recorded(file))
            start = starting.Start(self._loaded, self.root, self.folder, self.report, self.layout)
            if claim:
                start.supervisor(claim)
            start.servers()
            if not servers_only:
                start.applications()

    def stop(self) -> None:
        """Stop everything, the supervisor included; idempotent."""
        if not self.folder.exists():
            return
        with control.holding(self.folder / "start.lock"):
            if self._is_supervised():
                with contextlib.suppress(NotRunning):
                    control.request(self._state(), "shutdown")
                # The supervisor releases its lock when it has stopped everything.
                with control.holding(self.folder / control.LOCK):
                    pass
            orphans.end(self.folder)

    def discard(self) -> None:
        """Kill everything and remove the data; the logs stay."""
        if not self.folder.exists():
            return
        with control.holding(self.folder / "start.lock"):
            orphans.end(self.folder, by_force=True)
            account.remove_state_folder(self.folder)
            self._loaded = None

    def wipe(self) -> None:
        """Discard the instance, its logs included."""
        self.discard()
        shutil.rmtree(self.logs, ignore_errors=True)

    # One process, by its name or by the name of a service that it runs.

    def status(self) -> dict[str, ProcessStatus]:
        """Return the status of every process by name; raises NotRunning without a supervisor."""
        return control.request(self._state(), "status")

    @property
    def pids(self) -> dict[str, int]:
        """The ids of the running processes, by name."""
        return {name: each.pid for name, each in self.status().items() if each.pid is not None}

    def pid(self, name: str) -> int | None:
        """Return the id of a process, or None while it is not running."""
        return self.pids.get(plan.holder(self.processes(), name))

    def kill(self, *names: str, keep_down: bool = False) -> None:
        """Send SIGKILL to processes, and return once they have ended.

        The supervisor restarts them; with `keep_down` only `start_process` does.
        """
        held = self._holders(names)
        if keep_down:
            control.request(self._state(), "kill", held)
            return
        running = self.pids
        if missing := [name for name in held if name not in running]:
            raise NotRunning(f"{', '.join(missing)}: not running.")
        processes = [psutil.Process(running[name]) for name in held]
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        for process in processes:
            process.wait(timeout=READY_DEADLINE)

    def stop_process(self, name: str) -> None:
        """Stop a process gracefully; it stays stopped until `start_process`."""
        control.request(self._state(), "stop", self._holders([name]))

    def start_process(self, *names: str, deadline: float = READY_DEADLINE) -> None:
        """Start stopped processes, and wait until they are ready."""
        control.request(self._state(), "start", self._holders(names))
        self.wait_ready(*names, deadline=deadline)

    def restart(self, name: str) -> None:
        """Stop a process gracefully, start it, and wait until it is ready."""
        control.request(self._state(), "restart", self._holders([name]))
        self.wait_ready(name)

    def wait_ready(self, *names: str, deadline: float = READY_DEADLINE) -> None:
        """Wait until the named processes, or all, are ready; raises NotReady after the deadline."""
        planned = self.processes()
        chosen = [planned[name] for name in self._holders(names or planned)]
        ready.wait(chosen, self.logs, deadline, self.report, self._restarts)

    def processes(self) -> dict[str, Process]:
        """Return the supervisor's plan, by name."""
        return plan.read(self.folder / "plan.json")

    def _holders(self, names: Iterable[str]) -> list[str]:
        """Return the processes of these names, and those that run the services of these names."""
        planned = self.processes()
        return list(dict.fromkeys(plan.holder(planned, name) for name in names))

    def _is_supervised(self) -> bool:
        """Whether a supervisor accepts commands; waits for the end of one that is stopping."""
        lock = self.folder / control.LOCK
        deadline = time.monotonic() + READY_DEADLINE
        while control.is_held(lock) and time.monotonic() < deadline:
            try:
                self.status()
            except NotRunning:
                time.sleep(ready.POLL)
            else:
                return True
        return False

    def _restarts(self) -> dict[str, int]:
        return {name: each.restarts for name, each in self.status().items()}

    def _state(self) -> Path:
        if not (self.folder / "state-folder").exists():
            raise NotRunning(f"nothing was started in {self.folder}: run `make up`.")
        return account.state_folder(self.folder, account.server_account())
