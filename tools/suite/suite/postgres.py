"""The private PostgreSQL cluster: its data, its process, and a database and roles per service."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from provision import databases
from suite import postgres_programs
from suite.account import Account
from suite.plan import Process, Tier
from suite.refusals import Refusal
from suite.secrets import Secrets

Answer = TypeVar("Answer")

# fsync and synchronous_commit stay on, as by default. The rest is sized for one machine that also
# runs ten services with pools of ten, and the tests.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Error details, failed statements and parameters hold personal data and passwords.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    # A lost or frozen client must not hold locks; services set lower limits for their sessions.
    "idle_in_transaction_session_timeout": "60s",
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}

# After a process is killed the kernel still holds its writes; fsync protects against a machine that
# stops. No test stops the machine, and the data of tests is discarded.
EPHEMERAL = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL server with its data under `folder`, listening on the loopback address.

    An ephemeral one, for tests, survives SIGKILL but no power failure.
    """

    folder: Path
    port: int
    account: Account
    secrets: Secrets
    is_ephemeral: bool = False

    @property
    def data(self) -> Path:
        """The folder that `initdb` creates."""
        return self.folder / "data"

    def dsn(self, database: str, user: str = "postgres") -> str:
        """Return a `postgresql://` URL with the password of the role."""
        password = self.secrets[f"database:{user}"]
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def process(self, lock: Path, report: Callable[[str], None]) -> Process:
        """Create the data folder if it is missing, and return the server's process."""
        self.account.make_folder(self.folder)
        programs = postgres_programs.find(self.data, self.folder.parent, lock, self.account, report)
        if not self._is_made():
            self._make(programs)
        settings = SETTINGS | (EPHEMERAL if self.is_ephemeral else {})
        options = [f"-c{name}={value}" for name, value in settings.items()]
        return Process(
            name="postgres",
            command=[str(programs / "postgres"), "-D", str(self.data), f"-p{self.port}", *options],
            cwd=str(self.folder),
            tier=Tier.SERVER,
            env={"HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            health=[self.dsn("postgres")],
            # SIGINT is PostgreSQL's fast shutdown: roll back, checkpoint, exit.
            stop_signal=signal.SIGINT,
            grace=30,
            identity=self.account.identity,
        )

    def _is_made(self) -> bool:
        return (self.folder / "made").exists()

    def _make(self, programs: Path) -> None:
        """Create the cluster; every connection needs a password, loopback included."""
        self.account.run("rm", "-rf", self.data, cwd=self.folder)
        password = self.folder / "superuser-password"
        password.touch(mode=0o600)
        password.write_text(self.secrets["database:postgres"])
        self.account.chown(password)
        made = self.account.run(
            programs / "initdb", "-D", self.data, "-U", "postgres", "-A", "scram-sha-256",
            f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
            cwd=self.folder,
        )  # fmt: skip
        password.unlink()
        if made.returncode:
            raise Refusal(f"PostgreSQL could not create its data folder:\n{made.stderr.strip()}")
        (self.folder / "made").touch()

    def provision(self, services: Iterable[str]) -> None:
        """Create every missing database and role; idempotent."""
        names = list(services)
        roles = [*names, databases.MIGRATOR, databases.SANDBOX]
        passwords = {role: self.secrets[f"database:{role}"] for role in roles}
        run_in_own_loop(databases.provision(self.dsn("postgres"), names, passwords))


def run_in_own_loop(work: Coroutine[None, None, Answer]) -> Answer:
    """Run a coroutine, also when the caller's thread already runs an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
