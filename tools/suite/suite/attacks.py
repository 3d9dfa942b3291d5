"""Runs the fault-injection tests of tests/faults, and collects their counts."""

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
# Attacks mostly wait, so these run in parallel to the others, on their own suite and servers.
IN_PARALLEL = "crash_points"


def run(folder: Path, seed: int, part: str, only: str, report: Callable[[str], None]) -> int:
    """Run the attacks on servers of their own; returns pytest's exit code.

    They append their counts to `report.jsonl` in the folder; a whole run starts a new file and, on
    success, writes it into docs/reliability.md. Raises Refusal for an invalid part.
    """
    found = PART.fullmatch(part)
    if part and (not found or int(found[1]) > int(found[2])):
        raise Refusal(f"{part} is no part: write 1/4 for the first of four.")
    seed = seed or secrets.randbelow(10**8)
    report(f"seed {seed}: --seed {seed} repeats this run")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "FAULTS_FULL": "1",
        "FAULTS_SEED": str(seed),
        "FAULTS_PART": part,
    }
    # Both halves of a whole run append to the counts of the first.
    os.environ.setdefault("FAULTS_REPORT", str(folder / COUNTS))
    if part or only:
        return _attack(folder, only, report)
    (folder / COUNTS).unlink(missing_ok=True)
    code = _attack_in_parallel(folder, seed, report)
    if not code:
        write_page(folder)
    return code


def _attack(folder: Path, only: str, report: Callable[[str], None]) -> int:
    arguments = [FOLDER, "-s", *(["-k", only] if only else [])]
    return testing.run(repository.ROOT, folder, arguments, report)


def _attack_in_parallel(folder: Path, seed: int, report: Callable[[str], None]) -> int:
    """Run everything, the crash points in a parallel process; returns 0 when both pass."""
    log = folder / f"{IN_PARALLEL}.log"
    report(f"the crash points run in parallel and are shown after the other attacks: {log}")
    options = ["--seed", str(seed), "--only", IN_PARALLEL, "--folder", str(folder / IN_PARALLEL)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "suite", "faults", *options],
            cwd=repository.ROOT, stdout=output, stderr=output,
        ) as crashes,
    ):  # fmt: skip
        try:
            code = _attack(folder, f"not {IN_PARALLEL}", report)
            parallel_code = crashes.wait()
        finally:
            if crashes.poll() is None:
                crashes.terminate()
    report(log.read_text())
    return code or parallel_code


def write_page(folder: Path) -> None:
    """Write the counts into docs/reliability.md; raises Refusal without any."""
    counts = folder / COUNTS
    if not counts.exists():
        raise Refusal("there are no counts yet: run `make faults`.")
    search = [repository.ROOT / path for path in (FOLDER, "tests/integration", "tools/suite")]
    subprocess.run(
        [sys.executable, repository.ROOT / FOLDER / "page.py", counts],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, search))}, check=True,
    )  # fmt: skip
