"""Finds the RabbitMQ programs: on this machine, else in the system's package."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from suite.programs import attempt, folders
from suite.refusals import MissingProgram

# The wrappers in /usr/sbin refuse every user but their own, so the scripts behind them are used.
PACKAGED = (
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
)
ERLANG = (
    "/usr/lib/erlang/bin",
    "/usr/lib/erlang/erts-*/bin",
    "/usr/lib64/erlang/bin",
    "/usr/lib64/erlang/erts-*/bin",
    "/opt/homebrew/opt/erlang/bin",
    "/usr/local/opt/erlang/bin",
)
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "rabbitmq-server")
# The command to type, by the package manager on the PATH, as in the README.
TO_TYPE = {
    "apt-get": "sudo apt-get install --no-install-recommends rabbitmq-server",
    "dnf": "sudo dnf install rabbitmq-server",
    "brew": "brew install rabbitmq",
}


def find(report: Callable[[str], None]) -> Path:
    """Return the folder of `rabbitmq-server`, installed first when it is missing."""
    if found := folders(*PACKAGED):
        return found[-1]
    privilege = _privilege()
    if privilege is None or not shutil.which("apt-get"):
        raise MissingProgram(_request(next(filter(shutil.which, TO_TYPE), "")))
    report(f"RabbitMQ is missing: {' '.join(INSTALL)} (half a minute)")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    attempt(*privilege, "apt-get", "update", "-qq")
    installed = attempt(*privilege, *INSTALL)
    if found := folders(*PACKAGED):
        return found[-1]
    raise MissingProgram(f"RabbitMQ could not be installed:\n{installed.stderr.strip()}")


def _request(manager: str) -> str:
    """Return the message that states what to install, with the command if it is known."""
    needed = "RabbitMQ 3.10 or newer is needed and cannot be installed from here"
    if manager not in TO_TYPE:
        return f"{needed}: install it with your system's tools, then try again."
    return f"{needed}; type:\n    {TO_TYPE[manager]}\nthen try again."


def erlang(program: str) -> Path:
    """Return the path of one of Erlang's programs, which RabbitMQ runs on."""
    if on_path := shutil.which(program):
        return Path(on_path)
    for folder in folders(*ERLANG):
        if (folder / program).exists():
            return folder / program
    raise MissingProgram(f"RabbitMQ is installed, but Erlang's `{program}` is not on the PATH.")


def _privilege() -> list[str] | None:
    """Return the prefix of a command that installs packages, or None without the permission."""
    if os.geteuid() == 0:
        return []
    allowed = shutil.which("sudo") and attempt("sudo", "-n", "true").returncode == 0
    return ["sudo", "-n"] if allowed else None
