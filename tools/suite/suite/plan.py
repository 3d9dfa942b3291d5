"""The supervisor's plan: the specification of each process."""

import json
import signal
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from suite.refusals import NotRunning
from suite.secrets import write_private


class Tier(IntEnum):
    """The order of starting; stopping reverses it."""

    SERVER = 0
    SERVICE = 1
    GATEWAY = 2


@dataclass(frozen=True)
class Process:
    """A supervised command.

    `services` are the services that it runs, by name. `health` are its checks, polled until all
    pass: an http URL (200), a postgresql URL (a connection) or a tcp URL (accepts). `grace` is the
    seconds between the stop signal and SIGKILL. `identity` are the arguments with which root starts
    it as another account (account.py).
    """

    name: str
    command: list[str]
    cwd: str
    services: list[str] = field(default_factory=list)
    tier: int = Tier.SERVICE
    env: dict[str, str] = field(default_factory=dict)
    health: list[str] = field(default_factory=list)
    stop_signal: int = signal.SIGTERM
    grace: float = 15.0
    identity: dict[str, Any] = field(default_factory=dict)


def write(file: Path, processes: Iterable[Process]) -> None:
    """Write the plan; it holds passwords, so only its owner can read it."""
    write_private(file, json.dumps([asdict(process) for process in processes], indent=1))


def read(file: Path) -> dict[str, Process]:
    """Load the plan: processes by name; none before the first start."""
    entries: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return {entry["name"]: Process(**entry) for entry in entries}


def holder(processes: Mapping[str, Process], name: str) -> str:
    """Return the name of the process of this name, or of the one that runs the service.

    Raises NotRunning for a name that is neither.
    """
    if name in processes:
        return name
    for process in processes.values():
        if name in process.services:
            return process.name
    raise NotRunning(f"there is no process or service {name!r}.")
