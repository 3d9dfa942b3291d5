"""The protocol between commands and the supervisor: one JSON line each way on a Unix socket."""

import contextlib
import fcntl
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.refusals import NotRunning

SOCKET = "control.sock"
LOCK = "supervisor.lock"


@dataclass(frozen=True)
class ProcessStatus:
    """The supervisor's state of one process; `since` is the Unix time of its last start."""

    state: str
    pid: int | None
    restarts: int
    since: float | None


def request(state: Path, command: str, names: Sequence[str] = ()) -> dict[str, Any]:
    """Send a command and wait until it is done; raises NotRunning without a supervisor."""
    with socket.socket(socket.AF_UNIX) as channel:
        try:
            channel.connect(str(state / SOCKET))
            channel.sendall(json.dumps({"command": command, "names": list(names)}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(channel.makefile().readline() or "null")
        except (OSError, json.JSONDecodeError) as reason:
            raise NotRunning("the supervisor is not running: `make up` starts it.") from reason
    if answer is None:
        raise NotRunning("the supervisor ended before it answered: see its log.")
    if "refused" in answer:
        raise NotRunning(answer["refused"])
    return answer


def statuses(state: Path) -> dict[str, ProcessStatus]:
    """Return the status of every supervised process, by name."""
    answer = request(state, "status")
    return {name: ProcessStatus(**entry) for name, entry in answer.items()}


def is_held(lock: Path) -> bool:
    """Whether a live process holds the lock; the kernel releases it when its holder ends."""
    try:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold the lock for the context; waits until its holder releases it."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
