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
# An attack waits more than it works: these go beside the others, on a suite and servers of theirs.
BESIDE = "crash_points"


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
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "FAULTS_FULL": "1",
        "FAULTS_SEED": str(seed),
        "FAULTS_PART": part,
    }
    # Of two halves both add to the counts of the one that began.
    os.environ.setdefault("FAULTS_REPORT", str(folder / COUNTS))
    if part or only:
        return _attack(folder, only, report)
    (folder / COUNTS).unlink(missing_ok=True)
    code = _attack_in_two(folder, seed, report)
    if not code:
        write_page(folder)
    return code


def _attack(folder: Path, only: str, report: Callable[[str], None]) -> int:
    arguments = [FOLDER, "-s", *(["-k", only] if only else [])]
    return testing.run(repository.ROOT, folder, arguments, report)


def _attack_in_two(folder: Path, seed: int, report: Callable[[str], None]) -> int:
    """Run everything, one half in a process beside the other; the code is 0 when both are well."""
    log = folder / f"{BESIDE}.log"
    report(f"the crash points run beside the other attacks and are shown after them: {log}")
    told = ["--seed", str(seed), "--only", BESIDE, "--folder", str(folder / BESIDE)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "suite", "faults", *told],
            cwd=repository.ROOT, stdout=output, stderr=output,
        ) as crashes,
    ):  # fmt: skip
        try:
            code = _attack(folder, f"not {BESIDE}", report)
            beside = crashes.wait()
        finally:
            if crashes.poll() is None:
                crashes.terminate()
    report(log.read_text())
    return code or beside


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
