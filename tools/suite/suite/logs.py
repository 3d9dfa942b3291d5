"""The logs of an instance: private, of limited size, and how they are shown."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import BinaryIO

from suite.refusals import NotRunning

LONGEST = 10_000_000
# Earlier parts of a log that are retained; the latest is `<name>.log.1`.
PARTS = 3


def open_private(file: Path) -> BinaryIO:
    """Open a log to append to; only its owner can read it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def rotate(folder: Path, longest: int = LONGEST) -> None:
    """Move the end of each log that is longer to a file of its own; the oldest of these goes.

    Its process has the log open and appends, so the log is copied and truncated. A line written
    between the two is lost.
    """
    for log in folder.glob("*.log"):
        if log.stat().st_size > longest:
            parts = [log.with_name(f"{log.name}.{number}") for number in range(1, PARTS + 1)]
            for part in reversed(range(1, PARTS)):
                if parts[part - 1].exists():
                    parts[part - 1].replace(parts[part])
            with log.open("rb") as source, open_private(parts[0]) as copy:
                source.seek(-longest, os.SEEK_END)
                shutil.copyfileobj(source, copy)
            os.truncate(log, 0)


def show(folder: Path, name: str, *, lines: int, follow: bool) -> None:
    """Print the end of one log, or of all with the process's name above its lines; follow it."""
    files = [folder / f"{name}.log"] if name else sorted(folder.glob("*.log"))
    if not files or not all(file.exists() for file in files):
        known = ", ".join(sorted(file.stem for file in folder.glob("*.log"))) or "none yet"
        raise NotRunning(f"there is no log of {name or 'anything'}; there are: {known}.")
    options = [f"-n{lines}", *(["-F"] if follow else [])]
    tail = ["/usr/bin/tail", *options, *(file.name for file in files)]
    subprocess.run(tail, cwd=folder, check=False)
