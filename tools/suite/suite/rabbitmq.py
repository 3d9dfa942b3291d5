"""The private RabbitMQ node: its folder, its processes, and its topology."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.broker import VHOST
from suite import rabbitmq_programs
from suite.account import Account
from suite.plan import Process, Tier
from suite.refusals import Refusal
from suite.secrets import Secrets, write_private

# Raft's log is written without fsync: see `EPHEMERAL` in postgres.py.
EPHEMERAL = "[{ra, [{wal_sync_method, none}]}].\n"


@dataclass(frozen=True)
class Broker:
    """One RabbitMQ node with its data under `folder`, all its ports on the loopback address.

    An ephemeral one, for tests, survives SIGKILL but no power failure.
    """

    folder: Path
    ports: dict[str, int]
    account: Account
    secrets: Secrets
    is_ephemeral: bool = False

    def url(self, user: str = "admin") -> str:
        """Return the `amqp://` URL of a user on the suite's virtual host."""
        password = self.secrets[f"broker:{user}"]
        return f"amqp://{user}:{password}@127.0.0.1:{self.ports['rabbitmq']}/{VHOST}"

    @property
    def management_url(self) -> str:
        """The base URL of the management API, with the admin's credentials."""
        password = self.secrets["broker:admin"]
        return f"http://admin:{password}@127.0.0.1:{self.ports['rabbitmq_management']}"

    def processes(
        self, definitions: dict[str, Any], report: Callable[[str], None]
    ) -> list[Process]:
        """Write the node's configuration and return its processes, the port mapper first."""
        programs = rabbitmq_programs.find(report)
        for folder in (self.folder, self.folder / "home"):
            self.account.make_folder(folder)
        self._write(self.folder / "home/.erlang.cookie", self.secrets["erlang:cookie"], 0o400)
        self._write(self.folder / "definitions.json", json.dumps(definitions))
        self._write(self.folder / "rabbitmq.conf", self._configuration())
        self._write(self.folder / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")
        self._write(self.folder / "advanced.config", EPHEMERAL if self.is_ephemeral else "[].\n")

        mapper = Process(
            name="epmd",
            command=[str(rabbitmq_programs.erlang("epmd"))],
            cwd=str(self.folder),
            tier=Tier.SERVER,
            env=self._environment(),
            health=[f"tcp://127.0.0.1:{self.ports['epmd']}"],
            identity=self.account.identity,
        )
        listener = self.ports["rabbitmq"]
        node = Process(
            name="rabbitmq",
            command=[str(programs / "rabbitmq-server")],
            cwd=str(self.folder),
            tier=Tier.SERVER,
            env=self._environment(),
            health=[f"{self.management_url}/api/health/checks/port-listener/{listener}"],
            grace=30,
            identity=self.account.identity,
        )
        return [mapper, node]

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl` on the node and return its output; raises Refusal when it fails."""
        program = rabbitmq_programs.find(lambda _line: None) / "rabbitmqctl"
        settings = [f"{name}={value}" for name, value in self._environment().items()]
        command = ("env", *settings, program, "--quiet", *words)
        answer = self.account.run(*command, cwd=self.folder)
        if answer.returncode:
            raise Refusal(f"rabbitmqctl {words[0]} failed:\n{answer.stdout}{answer.stderr}")
        return answer.stdout

    def _write(self, path: Path, text: str, mode: int = 0o600) -> None:
        write_private(path, text)
        path.chmod(mode)
        self.account.chown(path)

    def _configuration(self) -> str:
        return "\n".join(
            [
                f"listeners.tcp.1 = 127.0.0.1:{self.ports['rabbitmq']}",
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {self.ports['rabbitmq_management']}",
                "prometheus.tcp.ip = 127.0.0.1",
                f"prometheus.tcp.port = {self.ports['rabbitmq_metrics']}",
                f"load_definitions = {self.folder / 'definitions.json'}",
                "log.file = false",
                "log.console = true",
                "log.console.level = warning",
                "log.console.use_colors = off",
                "vm_memory_high_watermark.absolute = 1GiB",
                "disk_free_limit.absolute = 200MB",
                # The write-ahead log is also held in memory, 512 MB by default.
                "raft.wal_max_size_bytes = 67108864",
                "collect_statistics_interval = 30000",
                "",
            ]
        )

    def _environment(self) -> dict[str, str]:
        schedulers = min(4, os.cpu_count() or 1)
        paths = {
            "RABBITMQ_BASE": "",
            "RABBITMQ_MNESIA_BASE": "data",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_PID_FILE": "rabbit.pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": "generated",
            "RABBITMQ_FEATURE_FLAGS_FILE": "feature_flags",
            "HOME": "home",
        }
        return {name: str(self.folder / path) for name, path in paths.items()} | {
            "PATH": f"{rabbitmq_programs.erlang('erl').parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": "cartwright@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports["rabbitmq_distribution"]),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The start script then execs the node, so that signals reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
            # Idle schedulers sleep at once: on a shared machine their busy-waiting takes time from
            # the services.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} "
                f"+S {schedulers}:{schedulers} +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }
