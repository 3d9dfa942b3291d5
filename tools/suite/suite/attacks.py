"""Running all attacks of tests/faults, or a part of them, and keeping what they count."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from suite import repository, testing
from suite.refusals import Refusal

FOLDER = "tests/faults"
COUNTS = "report.jsonl"
PART = re.compile(r"([1-9]\d*)/([1-9]\d*)")


def run(folder: Path, seed: int, part: str, only: str, report: Callable[[str], None]) -> int:
    """Run the attacks on servers of their own; returns pytest's code.

    What they count is added to `report.jsonl` in the folder; a whole run begins it anew and, when
    everything held, writes it into docs/reliability.md. Raises Refusal for a part that is none.
    """
    found = PART.fullmatch(part)
    if part and (not found or int(found[1]) > int(found[2])):
        raise Refusal(f"{part} is no part: say 1/4 for the first of four.")
    seed = seed or secrets.randbelow(10**8)
    report(f"seed {seed}: --seed {seed} replays this run")
    counts = folder / COUNTS
    folder.mkdir(parents=True, exist_ok=True)
    if not part and not only:
        counts.unlink(missing_ok=True)
    os.environ |= {
        "FAULTS_FULL": "1",
        "FAULTS_SEED": str(seed),
        "FAULTS_PART": part,
        "FAULTS_REPORT": str(counts),
    }
    arguments = [FOLDER, "-s", *(["-k", only] if only else [])]
    code = testing.run(repository.ROOT, folder, arguments, report)
    if not code and not part and not only:
        write_page(folder)
    return code


def write_page(folder: Path) -> None:
    """Write what was counted into docs/reliability.md; raises Refusal when nothing was."""
    counts = folder / COUNTS
    if not counts.exists():
        raise Refusal("nothing was counted yet: `make faults` does.")
    search = [repository.ROOT / path for path in (FOLDER, "tests/integration", "tools/suite")]
    subprocess.run(
        [sys.executable, repository.ROOT / FOLDER / "page.py", counts],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, search))}, check=True,
    )  # fmt: skip
