"""Prints the logs of an instance: the last lines, then new ones."""

import time
from collections.abc import Iterator
from pathlib import Path

from suite.refusals import NotRunning

PAUSE = 0.2


def show(folder: Path, name: str, *, lines: int, follow: bool) -> None:
    """Print the end of one log, or of all with the process's name before each line; follow it."""
    files = [folder / f"{name}.log"] if name else sorted(folder.glob("*.log"))
    if not files or not all(file.exists() for file in files):
        known = ", ".join(sorted(file.stem for file in folder.glob("*.log"))) or "none yet"
        raise NotRunning(f"there is no log of {name or 'anything'}; there are: {known}.")
    width = max(len(file.stem) for file in files)
    sources = [
        (f"{file.stem:<{width}} | " if not name else "", Tail(file, lines)) for file in files
    ]
    while True:
        for prefix, source in sources:
            for line in source.fresh():
                print(f"{prefix}{line}", flush=True)
        if not follow:
            return
        time.sleep(PAUSE)


class Tail:
    """The new lines of one file; it starts again when the file shrinks."""

    def __init__(self, file: Path, lines: int) -> None:
        self.file = file
        text = file.read_bytes()
        ends = text.splitlines(keepends=True)[-lines:] if lines else []
        self.position = len(text) - sum(len(line) for line in ends)

    def fresh(self) -> Iterator[str]:
        """Yield the complete lines added since the last call."""
        if self.file.stat().st_size < self.position:
            self.position = 0
        with self.file.open("rb") as source:
            source.seek(self.position)
            for line in source:
                if not line.endswith(b"\n"):
                    return
                self.position += len(line)
                yield line.decode(errors="replace").rstrip("\n")
