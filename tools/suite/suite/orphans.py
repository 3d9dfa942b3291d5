"""Finds and ends the processes of an instance by a mark in their environment."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

# Every process of an instance has its folder in this variable, so that it is found after its
# supervisor has ended.
MARK = "CARTWRIGHT_INSTANCE"
GRACE = 10.0
POLL = 0.1


def of(folder: Path) -> Iterator[psutil.Process]:
    """Yield every live process of the instance, the supervisor included."""
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            # It ended meanwhile, or it belongs to another user.
            continue


def end(folder: Path, *, by_force: bool = False) -> None:
    """End every process of the instance, by SIGTERM and after GRACE seconds by SIGKILL."""
    if not by_force:
        _signal_all(folder, "terminate")
        _await_end(folder)
    # A killed process may have been starting another one: search again.
    while _signal_all(folder, "kill"):
        time.sleep(POLL)


def _signal_all(folder: Path, how: str) -> bool:
    found = list(of(folder))
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(process, how)()
    return bool(found)


def _await_end(folder: Path) -> None:
    """Wait until no process of the instance is alive, at most GRACE seconds.

    A zombie whose new parent does not reap it stays in the process table, so this polls for live
    processes and does not wait for ids.
    """
    deadline = time.monotonic() + GRACE
    while any(True for _ in of(folder)) and time.monotonic() < deadline:
        time.sleep(POLL)
