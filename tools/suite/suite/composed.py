"""`make up` in containers: whether it can, and the commands that then go to compose."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import docker
import httpx
from docker.errors import DockerException

from suite import compose, repository
from suite.compose import Project
from suite.refusals import Refusal

# "native" or "compose" forces one of the two.
SETTING = "RUN"
FOLDER = Path("deploy")
# What compose pulls, or what its place is taken by: the variable and the default of the file.
PULLED = {
    "BASE_IMAGE": "python:3.12-slim-bookworm",
    "POSTGRES_IMAGE": "postgres:17",
    "RABBITMQ_IMAGE": "rabbitmq:4.1-management",
}
DEADLINE = 300.0


def project(root: Path) -> Project:
    """Return the composition of the working tree, its `.env` beside the compose file."""
    return Project(root, root / FOLDER)


def is_chosen(
    root: Path, report: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> bool:
    """Say whether the suite runs in containers, and report why.

    It does where a container engine answers and its images are there or can be pulled; RUN=native
    and RUN=compose override that. Raises Refusal for another word, and where compose is asked for
    and there is none.
    """
    wanted = environment.get(SETTING, "")
    if wanted not in ("", "native", "compose"):
        raise Refusal(f"RUN={wanted} is neither `native` nor `compose`.")
    if wanted == "compose":
        compose.compose(environment)
        report("runs in containers: RUN=compose says so")
        return True
    if wanted == "native":
        report("runs natively: RUN=native says so")
        return False
    if (reason := _missing(report, environment)) is None:
        report("runs in containers; RUN=native runs it without them")
        return True
    report(f"runs natively: {reason}")
    return False


def _missing(report: Callable[[str], None], environment: Mapping[str, str]) -> str | None:
    """Return what containers would need and is not here; a client alone is not an engine."""
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as engine:
            engine.ping()
            for variable, default in PULLED.items():
                image = environment.get(variable, default)
                if not engine.images.list(image):
                    report(f"pulling the image {image}")
                    engine.images.pull(image)
        compose.compose(environment)
    except (DockerException, OSError):
        return "no container engine answers, or it cannot pull the images"
    except Refusal as refusal:
        return str(refusal)
    return None


def up(root: Path, report: Callable[[str], None]) -> tuple[str, str]:
    """Bring the composition up; returns the gateway's address and the administrator's password."""
    composition = project(root)
    made = composition.prepare(repository.services(root))
    report(f"passwords are in {composition.env_file.relative_to(root)}")
    composition.run("up", "--detach", "--build", shown=True)
    address = gateway(root)
    patience = time.monotonic() + DEADLINE
    while not _serves(address):
        if time.monotonic() > patience:
            raise Refusal("the gateway is not ready after five minutes: `make logs` tells why.")
        time.sleep(0.5)
    return address, made["admin:password"]


def gateway(root: Path) -> str:
    """Return the address the gateway is published at."""
    return f"http://127.0.0.1:{project(root).environment.get('GATEWAY_PORT', '8080')}"


def _serves(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/readyz", timeout=5, trust_env=False).is_success
    return False


def is_up(root: Path) -> bool:
    """Say whether a composition of this working tree has containers."""
    composition = project(root)
    if not composition.env_file.exists():
        return False
    try:
        return bool(composition.run("ps", "--quiet").strip())
    except Refusal:
        return False


def takes(root: Path, *command: str) -> bool:
    """Give a command to compose where the suite runs in containers; says whether it did."""
    if not is_up(root):
        return False
    project(root).run(*command, shown=True)
    return True


def clean(root: Path) -> None:
    """End the composition and remove its data and secrets."""
    takes(root, "down", "--volumes")
    (root / FOLDER / ".env").unlink(missing_ok=True)
    shutil.rmtree(root / FOLDER / "secrets", ignore_errors=True)
