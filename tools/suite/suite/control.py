"""The protocol between commands and the supervisor: one request and answer on a Unix socket."""

import contextlib
import fcntl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Client
from pathlib import Path

from suite.refusals import NotRunning

SOCKET = "supervisor.sock"
LOCK = "supervisor.lock"


@dataclass(frozen=True)
class ProcessStatus:
    """The supervisor's state of one process; `since` is the Unix time of its last start."""

    state: str
    pid: int | None = None
    restarts: int = 0
    since: float | None = None


def request(state: Path, command: str, names: Iterable[str] = ()) -> dict[str, ProcessStatus]:
    """Send a command, wait until it is done, and return the status of every process by name.

    Raises NotRunning without a supervisor, and for what it refuses.
    """
    try:
        with Client(str(state / SOCKET)) as supervisor:
            supervisor.send((command, list(names)))
            answer: dict[str, ProcessStatus] | NotRunning = supervisor.recv()
    except (OSError, EOFError) as reason:
        raise NotRunning("the supervisor is not running: `make up` starts it.") from reason
    if isinstance(answer, NotRunning):
        raise answer
    return answer


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
