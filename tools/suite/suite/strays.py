"""Processes of an instance found by the mark in their environment, whoever started them."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

# Every process of an instance carries its folder in this variable, so that none is lost sight of
# when the supervisor that started it is gone.
MARK = "CARTWRIGHT_INSTANCE"
GRACE = 10.0


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


def any_of(folder: Path) -> bool:
    return next(of(folder), None) is not None


def end(folder: Path, *, by_force: bool = False) -> None:
    """End every process of the instance: politely first unless told otherwise."""
    if not by_force:
        _signal_all(folder, "terminate")
        psutil.wait_procs(list(of(folder)), timeout=GRACE)
    # What is killed may have been starting another process at that moment: look again.
    while _signal_all(folder, "kill"):
        psutil.wait_procs(list(of(folder)), timeout=GRACE)


def _signal_all(folder: Path, how: str) -> bool:
    found = list(of(folder))
    for process in found:
        try:
            getattr(process, how)()
        except psutil.NoSuchProcess:
            continue
    return bool(found)
