"""The suite in containers: the choice of `make up`, the generated `.env`, and compose commands."""

import contextlib
import importlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from suite import secrets, service_list
from suite.refusals import Refusal
from suite.secrets import Secrets, write_private
from suite.service_list import Entry

FOLDER = Path("deploy")
FILE = FOLDER / "docker-compose.yml"
# "native" or "compose" forces one of the two.
SETTING = "RUN"
# The base images by the variable that overrides each, with the compose file's default.
BASE_IMAGES = {
    "BASE_IMAGE": "python:3.12-slim-bookworm",
    "POSTGRES_IMAGE": "postgres:17",
    "RABBITMQ_IMAGE": "rabbitmq:4.1-management",
}
DEADLINE = 300.0
# The variables of the servers' secrets, and of the first administrator.
NAMES = {
    "database:postgres": "POSTGRES_PASSWORD",
    "broker:admin": "BROKER_ADMIN_PASSWORD",
    "admin:password": "ADMIN_PASSWORD",
}
PATTERNS = {
    "database": "{}_DATABASE_PASSWORD",
    "broker": "{}_BROKER_PASSWORD",
    "client": "{}_CLIENT_SECRET",
}


@dataclass(frozen=True)
class Project:
    """A compose project: its secrets, its `.env`, and the environment of the compose command.

    folder: holds `.env` and `secrets/`; beside the compose file by default, where compose itself
    looks for `.env`. name: the project's name, which is part of its containers' and volumes'.
    files: compose files, the later ones over the earlier; relative ones begin at `root`.
    """

    root: Path
    folder: Path
    name: str = "cartwright"
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    files: tuple[Path, ...] = (FILE,)

    @property
    def env_file(self) -> Path:
        """The file from which compose reads passwords."""
        return self.folder / ".env"

    def prepare(self, services: Iterable[Entry], **settings: str) -> Secrets:
        """Add what is missing to `.env` and the secret files; existing lines stay."""
        services = list(services)
        folder = self.folder / "secrets"
        folder.mkdir(parents=True, exist_ok=True)
        # Containers run as another user, so the files are readable and the folder is not.
        folder.chmod(0o700)
        made = secrets.ensure(folder, services)
        previous = previous_key(made)
        if not previous.exists():
            write_private(previous, made.signing_key_file.read_text())
        for file in (made.signing_key_file, previous, made.service_clients_file):
            file.chmod(0o444)
        wanted = variables(made.values, services) | {"SECRETS_FOLDER": str(folder)} | settings
        known = self.env_file.read_text() if self.env_file.exists() else ""
        names = {line.partition("=")[0] for line in known.splitlines()}
        added = [f"{name}={value}\n" for name, value in wanted.items() if name not in names]
        if added:
            write_private(self.env_file, known + "".join(added))
        return made

    def command(self, *arguments: str) -> list[str]:
        """Return the compose command line of this project. Raises Refusal without compose."""
        files = [part for file in self.files for part in ("--file", str(self.root / file))]
        rest = ["--env-file", str(self.env_file), "--project-name", self.name, "--profile", "core"]
        return [*command_of(self.environment), *files, *rest, *arguments]

    def run(self, *arguments: str, shown: bool = False) -> str:
        """Run compose and return its output. Raises Refusal with the output when it fails."""
        answer = subprocess.run(
            self.command(*arguments), env={**self.environment}, text=True, check=False,
            stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.STDOUT,
        )  # fmt: skip
        if answer.returncode:
            output = (answer.stdout or "")[-4000:]
            raise Refusal(f"compose {' '.join(arguments)} failed:\n{output}".strip())
        return answer.stdout or ""


def previous_key(made: Secrets) -> Path:
    """Return the file of the previous signing key; before a rotation it holds the current one."""
    return made.signing_key_file.with_name("previous-signing-key.pem")


def names(services: Iterable[Entry]) -> dict[str, str]:
    """Return the variables in the compose file of the secrets that not every service has."""
    return {
        purpose: variable
        for service in services
        for variable, purpose in service.all_secrets.items()
    } | NAMES


def variables(values: Mapping[str, str], services: Iterable[Entry]) -> dict[str, str]:
    """Return the secrets by their variables in the compose file."""
    known, named = names(services), {}
    for purpose, value in values.items():
        kind, _, owner = purpose.partition(":")
        if purpose in known:
            named[known[purpose]] = value
        elif kind in PATTERNS:
            named[PATTERNS[kind].format(owner.upper())] = value
    return named


def command_of(environment: Mapping[str, str]) -> list[str]:
    """Return compose's command, the plugin before `docker-compose`; raises Refusal without any."""
    if shutil.which("docker"):
        plugin = subprocess.run(
            ["docker", "compose", "version"],  # noqa: S607
            env={**environment}, capture_output=True, check=False,
        )  # fmt: skip
        if not plugin.returncode:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Refusal("neither `docker compose` nor `docker-compose` is installed: install one.")


def project(root: Path) -> Project:
    """Return the project of the working tree, with `.env` beside the compose file."""
    return Project(root, root / FOLDER)


def is_chosen(
    root: Path, report: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> bool:
    """Whether the suite runs in containers; reports the reason.

    It does where a container engine answers and has its images or can pull them; RUN=native and
    RUN=compose override that. Raises Refusal for another value, and for RUN=compose without
    compose.
    """
    choice = environment.get(SETTING, "")
    if choice not in ("", "native", "compose"):
        raise Refusal(f"RUN={choice} is neither `native` nor `compose`.")
    if choice == "compose":
        command_of(environment)
        report("runs in containers, because of RUN=compose")
        return True
    if choice == "native":
        report("runs natively, because of RUN=native")
        return False
    if (reason := _missing(report, environment)) is None:
        report("runs in containers; RUN=native runs it without them")
        return True
    report(f"runs natively: {reason}")
    return False


def _missing(report: Callable[[str], None], environment: Mapping[str, str]) -> str | None:
    """Return why containers cannot run here, or None; a client without an engine is a reason."""
    # Docker's client takes a third of a second to load, which most commands need not pay.
    docker = importlib.import_module("docker")
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as engine:
            engine.ping()
            for variable, default in BASE_IMAGES.items():
                image = environment.get(variable, default)
                if not engine.images.list(image):
                    report(f"pulling the image {image}")
                    engine.images.pull(image)
        command_of(environment)
    except (docker.errors.DockerException, OSError):
        return "no container engine answers, or it cannot pull the images"
    except Refusal as refusal:
        return str(refusal)
    return None


def up(root: Path, report: Callable[[str], None]) -> tuple[str, str]:
    """Start the project; returns the gateway's address and the administrator's password."""
    compose_project = project(root)
    made = compose_project.prepare(service_list.load(root).values())
    report(f"passwords are in {compose_project.env_file.relative_to(root)}")
    compose_project.run("up", "--detach", "--build", shown=True)
    address = gateway(root)
    deadline = time.monotonic() + DEADLINE
    while not _serves(address):
        if time.monotonic() > deadline:
            raise Refusal("the gateway is not ready after five minutes: see `make logs`.")
        time.sleep(0.5)
    return address, made["admin:password"]


def gateway(root: Path) -> str:
    """Return the published address of the gateway."""
    return f"http://127.0.0.1:{project(root).environment.get('GATEWAY_PORT', '8080')}"


def _serves(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/readyz", timeout=5, trust_env=False).is_success
    return False


def is_up(root: Path) -> bool:
    """Whether the project of this working tree has containers."""
    compose_project = project(root)
    if not compose_project.env_file.exists():
        return False
    try:
        return bool(compose_project.run("ps", "--quiet").strip())
    except Refusal:
        return False


def run_if_up(root: Path, *command: str) -> bool:
    """Run a compose command if the suite runs in containers; returns whether it did."""
    if not is_up(root):
        return False
    project(root).run(*command, shown=True)
    return True


def clean(root: Path) -> None:
    """Stop the project and remove its data and secrets."""
    run_if_up(root, "down", "--volumes")
    (root / FOLDER / ".env").unlink(missing_ok=True)
    shutil.rmtree(root / FOLDER / "secrets", ignore_errors=True)
