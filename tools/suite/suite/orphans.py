"""Processes of an instance found by the mark in their environment, whoever started them."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

# Every process of an instance carries its folder in this variable, so that none is lost sight of
# when the supervisor that started it is gone.
MARK = "CARTWRIGHT_INSTANCE"
GRACE = 10.0
POLL = 0.1


def of(folder: Path) -> Iterator[psutil.Process]:
    """Yield every living process of the instance, the supervisor included."""
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            # It ended meanwhile, or it is somebody else's.
            continue


def end(folder: Path, *, by_force: bool = False) -> None:
    """End every process of the instance: politely first unless told otherwise."""
    if not by_force:
        _signal_all(folder, "terminate")
        _await_end(folder)
    # What is killed may have been starting another process at that moment: look again.
    while _signal_all(folder, "kill"):
        _await_end(folder)


def _signal_all(folder: Path, how: str) -> bool:
    found = list(of(folder))
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(process, how)()
    return bool(found)


def _await_end(folder: Path) -> None:
    """Wait until nothing of the instance lives, or the grace is over.

    An ended process whose new parent does not fetch it stays in the table for ever, as a zombie:
    therefore the living are looked for, and no process is waited for by its id.
    """
    patience = time.monotonic() + GRACE
    while any(True for _ in of(folder)) and time.monotonic() < patience:
        time.sleep(POLL)
