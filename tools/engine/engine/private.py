"""A private Docker daemon, in a network namespace without an uplink."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import debian
from suite.refusals import Refusal

# The required programs, and the Debian package of each.
PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
# The packages of the stand-ins for base images.
PACKAGES = ("postgresql", "python3-venv", "rabbitmq-server")
DEADLINE = 60.0


@dataclass(frozen=True)
class Engine:
    """A running daemon: its folder, and the network namespace of its published ports."""

    folder: Path
    namespace: str

    @property
    def sockets(self) -> Path:
        """The folder of sockets, with a short path: a socket's path has at most 107 characters."""
        return Path(tempfile.gettempdir()) / self.namespace

    @property
    def environment(self) -> dict[str, str]:
        """The environment that points `docker` and `docker-compose` to this daemon."""
        return {**os.environ, "DOCKER_HOST": f"unix://{self.sockets}/docker.sock"}

    def inside(self, *command: str | Path) -> list[str]:
        """Return the command, wrapped to run in the engine's network."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def docker(self, *arguments: str | Path) -> str:
        """Run `docker` and return its output; raises Refusal with the output when it fails."""
        return self.run("docker", *arguments)

    def run(self, *words: str | Path, **variables: str) -> str:
        """Run a program against this daemon and return its output; raises Refusal as `docker`."""
        command = list(map(str, words))
        answer = subprocess.run(
            command, env=self.environment | variables, capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise Refusal(f"`{' '.join(command)}` failed:\n{answer.stdout}{answer.stderr}".strip())
        return answer.stdout.strip()


def require() -> None:
    """Raise Refusal with everything that this machine lacks, and what to type."""
    missing = {package for name, package in PROGRAMS.items() if not shutil.which(name)}
    wants = []
    try:
        missing |= set(PACKAGES) - set(debian.installed())
    except Refusal as refusal:
        wants.append(str(refusal))
    if os.geteuid() != 0:
        wants.append("root, for a network namespace and a container engine of its own: use sudo")
    if missing:
        packages = " ".join(sorted(missing))
        wants.append(f"these packages: apt-get install --no-install-recommends {packages}")
    if not shutil.which("kubectl"):
        # Debian 12 has 1.20, whose kustomize is too old.
        wants.append("kubectl 1.27 or newer: https://kubernetes.io/docs/tasks/tools")
    if wants:
        raise Refusal("the deployment tests need\n" + "\n".join(f"  - {want}" for want in wants))


@contextmanager
def running(folder: Path) -> Iterator[Engine]:
    """Run the daemon for the context; its images stay in the folder.

    Raises Refusal when something is missing, another run uses the folder, or the daemon does not
    start.
    """
    require()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), _engine(folder) as engine:
        yield engine


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder: two daemons would corrupt each other's images."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(f"another run uses the engine in {folder}: wait until it ends") from None
        yield


@contextmanager
def _engine(folder: Path) -> Iterator[Engine]:
    namespace = f"cartwright-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    engine = Engine(folder, namespace)
    engine.sockets.mkdir(mode=0o700, exist_ok=True)
    _namespace("add", namespace)
    try:
        with _daemon(engine):
            yield engine
    finally:
        _namespace("delete", namespace)
        shutil.rmtree(engine.sockets, ignore_errors=True)


def _namespace(verb: str, name: str) -> None:
    subprocess.run(["ip", "netns", verb, name], check=False, capture_output=True)  # noqa: S607
    if verb == "add":
        up = ["ip", "-n", name, "link", "set", "lo", "up"]
        subprocess.run(up, check=True, capture_output=True)


@contextmanager
def _daemon(engine: Engine) -> Iterator[None]:
    # Not `ip netns exec`, which hides the cgroups that containers are limited by.
    command = engine.inside(
        "dockerd",
        "--data-root", engine.folder / "data",
        "--exec-root", engine.sockets / "exec",
        "--pidfile", engine.sockets / "pid",
        "--host", f"unix://{engine.sockets}/docker.sock",
        "--bip", "10.88.77.1/24",
        "--default-address-pool", "base=10.88.80.0/20,size=24",
    )  # fmt: skip
    log = engine.folder / "dockerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_ready(engine, daemon, log)
        # Containers of an interrupted run would start again with the daemon.
        _remove_containers(engine)
        yield
        _remove_containers(engine)
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _remove_containers(engine: Engine) -> None:
    """Remove every container, volume and network; images stay."""
    if left := engine.docker("container", "ls", "--all", "--quiet").split():
        engine.docker("container", "rm", "--force", "--volumes", *left)
    engine.docker("volume", "prune", "--force")
    engine.docker("network", "prune", "--force")


def _wait_ready(engine: Engine, daemon: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            engine.docker("version", "--format", "{{.Server.Version}}")
        except Refusal:
            time.sleep(0.1)
        else:
            return
    end = "\n".join(log.read_text().splitlines()[-5:])
    raise Refusal(f"the container engine did not start ({log}):\n{end}")
