"""The suite in containers: its generated `.env`, and the compose command that runs it."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from suite import secrets
from suite.refusals import Refusal
from suite.secrets import Secrets, write_private

FILE = Path("deploy/docker-compose.yml")
# The names of secrets that are not one per service.
NAMES = {
    "database:postgres": "POSTGRES_PASSWORD",
    "broker:admin": "BROKER_ADMIN_PASSWORD",
    "provider:key": "PROVIDER_API_KEY",
    "provider:webhook": "PROVIDER_WEBHOOK_SECRET",
    "admin:password": "ADMIN_PASSWORD",
    "orders:token": "ORDER_TOKEN_SECRET",
}
PATTERNS = {
    "database": "{}_DATABASE_PASSWORD",
    "broker": "{}_BROKER_PASSWORD",
    "client": "{}_CLIENT_SECRET",
}


@dataclass(frozen=True)
class Project:
    """One composition: its secrets, its `.env`, and the environment compose runs in.

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
        """The file compose takes passwords from."""
        return self.folder / ".env"

    def prepare(self, services: Iterable[str], **settings: str) -> Secrets:
        """Write what is missing of `.env` and the secret files; lines that are there stay."""
        kept = self.folder / "secrets"
        kept.mkdir(parents=True, exist_ok=True)
        # Containers run as a user of their own, so the files are readable and the folder is not.
        kept.chmod(0o700)
        made = secrets.ensure(kept, services)
        previous = previous_key(made)
        if not previous.exists():
            write_private(previous, made.signing_key_file.read_text())
        for file in (made.signing_key_file, previous, made.service_clients_file):
            file.chmod(0o444)
        wanted = variables(made.values) | {"SECRETS_FOLDER": str(kept)} | settings
        known = self.env_file.read_text() if self.env_file.exists() else ""
        names = {line.partition("=")[0] for line in known.splitlines()}
        added = [f"{name}={value}\n" for name, value in wanted.items() if name not in names]
        if added:
            write_private(self.env_file, known + "".join(added))
        return made

    def command(self, *arguments: str) -> list[str]:
        """Return the compose command of the machine, the newer plugin first. Raises Refusal."""
        files = [part for file in self.files for part in ("--file", str(self.root / file))]
        rest = ["--env-file", str(self.env_file), "--project-name", self.name, "--profile", "core"]
        return [*compose(self.environment), *files, *rest, *arguments]

    def run(self, *arguments: str, shown: bool = False) -> str:
        """Run compose to its end; returns what it printed. Raises Refusal with what it said."""
        answer = subprocess.run(
            self.command(*arguments), env={**self.environment}, text=True, check=False,
            stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.STDOUT,
        )  # fmt: skip
        if answer.returncode:
            told = answer.stdout or ""
            raise Refusal(f"compose {' '.join(arguments)} failed:\n{told[-4000:]}".strip())
        return answer.stdout or ""


def previous_key(made: Secrets) -> Path:
    """Return the file of the signing key before; between rotations it holds the current one."""
    return made.signing_key_file.with_name("previous-signing-key.pem")


def variables(values: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets by the names the compose file has for them."""
    named = {}
    for purpose, value in values.items():
        kind, _, owner = purpose.partition(":")
        if purpose in NAMES:
            named[NAMES[purpose]] = value
        elif kind in PATTERNS:
            named[PATTERNS[kind].format(owner.upper())] = value
    return named


def compose(environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs compose here; raises Refusal where there is none."""
    if shutil.which("docker"):
        plugin = subprocess.run(
            ["docker", "compose", "version"],  # noqa: S607
            env={**environment}, capture_output=True, check=False,
        )  # fmt: skip
        if not plugin.returncode:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Refusal("Neither `docker compose` nor `docker-compose` is here; install one of them.")
