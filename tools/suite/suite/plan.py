"""What one process of the suite is: the shape the supervisor reads."""

import json
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from suite.secrets import write_private


class Tier(IntEnum):
    """The order of starting; stopping goes the other way."""

    SERVER = 0
    SERVICE = 1
    GATEWAY = 2


@dataclass(frozen=True)
class Process:
    """A command the supervisor keeps running.

    `health` is asked until it answers: an http URL (200), a postgresql URL (a connection) or a
    tcp URL (accepts). `grace` is how many seconds the process gets between the stop signal and
    the end by force. `user` and `group` are numeric and only used by root.
    """

    name: str
    command: list[str]
    cwd: str
    tier: int = Tier.SERVICE
    env: dict[str, str] = field(default_factory=dict)
    health: str = ""
    stop_signal: int = signal.SIGTERM
    grace: float = 15.0
    user: int | None = None
    group: int | None = None


def write(file: Path, processes: Iterable[Process]) -> None:
    """Record the plan; it holds passwords, so it is readable by its owner alone."""
    write_private(file, json.dumps([asdict(process) for process in processes], indent=1))


def read(file: Path) -> dict[str, Process]:
    """Load the plan: processes by name."""
    entries: list[dict[str, Any]] = json.loads(file.read_text())
    return {entry["name"]: Process(**entry) for entry in entries}
