"""The steps that start an instance, in order."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provision import broker
from suite import control, logs, orphans, plan, processes, ready, repository, topology
from suite.environment import Environment
from suite.plan import Process, Tier
from suite.refusals import MigrationFailed

MIGRATIONS_AT_ONCE = 3
DEADLINE = 180.0


@dataclass(frozen=True)
class Start:
    """One start of one instance: each step skips processes that are running."""

    environment: Environment
    root: Path
    folder: Path
    report: Callable[[str], None]
    layout: str = processes.SEPARATE

    @property
    def state(self) -> Path:
        """The folder of data and sockets."""
        return self.environment.cluster.folder.parent

    @property
    def logs(self) -> Path:
        """The folder of all log files."""
        return self.folder / "logs"

    def supervisor(self, claim: socket.socket) -> None:
        """Start the supervisor, detached, and wait until it accepts commands.

        It holds the claim on the block of ports until it ends.
        """
        command = [sys.executable, "-m", "suite.supervisor", str(self.folder), str(self.state)]
        with claim, logs.open_private(self.logs / "supervisor.log") as log:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self.environment.inherited() | {orphans.MARK: str(self.folder)}, check=True,
                pass_fds=[claim.fileno()],
            )  # fmt: skip
        answers = Process("supervisor", [], "", health=[f"unix://{self.state / control.SOCKET}"])
        ready.wait([answers], self.logs, DEADLINE, lambda _line: None, dict)

    def servers(self) -> None:
        """Start PostgreSQL and RabbitMQ and give them databases, roles and topology."""
        names = repository.services(self.root)
        wanted = topology.with_users(self.root, names, self.environment.secrets)
        table = processes.servers(self.environment, self.root, wanted, self.report)
        others = self._planned(lambda process: process.tier != Tier.SERVER)
        plan.write(self.folder / "plan.json", [*table, *others])
        self._start(table)
        with ThreadPoolExecutor() as pool:
            databases = pool.submit(self.environment.cluster.provision, names)
            broker.apply_definitions(self.environment.broker.management_url, wanted)
            databases.result()

    def applications(self) -> None:
        """Migrate the databases of stopped services, then start services, tools and the gateway."""
        table = processes.applications(self.environment, self.root, self.folder, self.layout)
        servers = self._planned(lambda process: process.tier == Tier.SERVER)
        plan.write(self.folder / "plan.json", [*servers, *table])
        running = control.request(self.state, "status")
        self._migrate(
            service
            for process in table
            if process.name not in running or not running[process.name].pid
            for service in process.services
        )
        self._start(table)

    def _planned(self, belongs: Callable[[Process], bool]) -> list[Process]:
        known = plan.read(self.folder / "plan.json").values()
        return [process for process in known if belongs(process)]

    def _start(self, table: list[Process]) -> None:
        before = control.request(self.state, "status")
        control.request(self.state, "start", [process.name for process in table])
        fresh = [p for p in table if p.name not in before or not before[p.name].pid]
        if fresh:
            self.report(f"starting {', '.join(process.name for process in fresh)}")
        announced = tuple(process.name for process in fresh)

        def restarts() -> dict[str, int]:
            found = control.request(self.state, "status")
            return {name: each.restarts for name, each in found.items()}

        def report(line: str) -> None:
            if line.startswith(announced):
                self.report(line)

        ready.wait(table, self.logs, DEADLINE, report, restarts)

    def _migrate(self, services: Iterable[str]) -> None:
        """Migrate the databases, a few at a time."""
        with ThreadPoolExecutor(MIGRATIONS_AT_ONCE) as pool:
            list(pool.map(self._migrate_one, services))

    def _migrate_one(self, service: str) -> None:
        log = self.logs / f"{service}.migrate.log"
        with logs.open_private(log) as output:
            answer = subprocess.run(
                [sys.executable, "-m", service, "migrate"],
                cwd=self.root / "services" / service,
                env=self.environment.of_migration(service),
                stdout=output, stderr=output, check=False,
            )  # fmt: skip
        if answer.returncode:
            end = ready.tail(log, ready.LINES_SHOWN)
            raise MigrationFailed(f"the database of {service} could not be migrated:\n{end}")
        self.report(f"{service}'s database is migrated")
