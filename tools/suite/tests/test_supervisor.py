"""One supervised process: started again, stopped with all it started."""

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from suite.plan import Process
from suite.supervisor import Child

Supervise = Callable[..., Child]
Found = TypeVar("Found")

# It starts a process that ignores SIGTERM, and writes its id when that is the case.
PARENT = """
import subprocess, sys, time
ignoring = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Supervise commands that end with the test."""
    (tmp_path / "logs").mkdir()
    made: list[Child] = []

    def start(*command: str, grace: float = 15.0) -> Child:
        spec = Process("baker", list(command), str(tmp_path), grace=grace)
        made.append(Child(spec, tmp_path))
        return made[-1]

    yield start
    for child in made:
        child.stop(by_force=True)


def until(look: Callable[[], Found]) -> Found:
    """Return what the look finds, once it finds something."""
    while not (found := look()):
        time.sleep(0.01)
    return found


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def test_a_process_that_ends_is_started_after_growing_pauses(
    supervise: Supervise, tmp_path: Path
) -> None:
    ends = tmp_path / "ends"
    child = supervise("/bin/sh", "-c", f"date +%s.%N >> {ends}; exit 3")

    until(lambda: len(lines(ends)) >= 6)

    times = [float(line) for line in lines(ends)]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.6), strict=False):
        assert pause >= least
    assert child.status.restarts >= 5


def test_a_process_is_stopped_during_a_pause(supervise: Supervise) -> None:
    child = supervise("/bin/false")
    until(lambda: child.status.restarts >= 2)

    child.stop()

    assert child.status.state == "stopped"
    assert not child.thread.is_alive()


def test_a_command_that_does_not_exist_is_tried_again(supervise: Supervise, tmp_path: Path) -> None:
    command = tmp_path / "late"
    child = supervise(str(command))
    until(lambda: child.status.restarts)

    command.write_text("#!/bin/sh\nexec sleep 600\n")
    command.chmod(0o755)

    until(lambda: child.status.pid)
    assert child.status.state == "running"


@pytest.mark.parametrize("by_force", [False, True])
def test_a_stop_ends_what_the_process_started(
    supervise: Supervise, tmp_path: Path, *, by_force: bool
) -> None:
    written = tmp_path / "pid"
    child = supervise(sys.executable, "-c", PARENT, str(written))
    (started,) = until(lambda: lines(written))

    child.stop(by_force=by_force)

    until(lambda: has_ended(int(started)))


def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_grace(
    supervise: Supervise, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    child = supervise("/bin/sh", "-c", f"trap '' TERM; echo 1 > {ready}; sleep 600", grace=0.2)
    until(lambda: lines(ready))
    pid = until(lambda: child.status.pid)
    assert pid

    child.stop()

    assert has_ended(pid)


def has_ended(pid: int) -> bool:
    """Whether no process has the id, or one that its parent has not waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
