"""Writes what the last full run of the attacks counted into docs/reliability.md."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from suite.repository import ROOT

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- counted: begin -->", "<!-- counted: end -->"
LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "SQLAlchemy", "fastapi", "uvicorn", "pydantic")
COUNTS = ("orders", "injected", "lost", "unexpected", "duplicated", "recovered")
# What each check covers; the same order as in tests/integration/invariants.py.
CHECKS = {
    "I1": "stock",
    "I2": "money",
    "I3": "end of every order",
    "I4": "holds without an order",
    "I5": "events and mails sent",
    "I6": "effects once",
    "I7": "copies",
    "I8": "nothing left over",
}


def latest(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The last row of each run or defect, in the order of their first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if name in row:
            found[row[name]] = row
    return list(found.values())


def runs(rows: list[dict[str, Any]]) -> list[str]:
    """The counters, run by run, and their sum."""
    found = latest(rows, "run")
    lines = [
        "| Run | Counted | Seed | Orders | Faults | Lost | Unexpected | Duplicated | Recovered | s | At rest after, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        # A count that was not taken is no zero.
        counted = " | ".join("-" if row[name] is None else str(row[name]) for name in COUNTS)
        rest = row.get("rest_after")
        run = f"{row['run']} | {row['at']} | {row['seed']}"
        ended = f"{row['seconds']:.0f} | {'-' if rest is None else f'{rest:.0f}'}"
        lines.append(f"| {run} | {counted} | {ended} |")
    total = " | ".join(str(sum(row[name] or 0 for row in found)) for name in COUNTS)
    seconds = sum(row["seconds"] for row in found)
    return [*lines, f"| **all {len(found)}** | | | {total} | {seconds:.0f} | |"]


def caught(rows: list[dict[str, Any]]) -> list[str]:
    """Which check caught which planted defect."""
    lines = [
        f"| Seeded defect | In | Attack | {' | '.join(f'{i} {w}' for i, w in CHECKS.items())} |",
        f"|---|---|---|{'---|' * len(CHECKS)}",
    ]
    for row in latest(rows, "defect"):
        marks = " | ".join("caught" if check in row["caught"] else "" for check in CHECKS)
        lines.append(f"| {row['defect']} | {row['where']} | {row['attack']} | {marks} |")
    return lines


def counted(rows: list[dict[str, Any]], now: datetime) -> str:
    """The part of the page between its marks."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join(
        [
            BEGIN,
            f"Counted up to {now:%Y-%m-%d %H:%M} UTC with Python {platform.python_version()},",
            f"{'; '.join(row['servers'] for row in latest(rows, 'servers'))}; {libraries}.",
            "",
            *runs(rows),
            "",
            *caught(rows),
            END,
        ]
    )


def written(page: str, part: str) -> str:
    """The page with the part between its marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{PAGE} has lost its marks")
    return before + part + after


def main(report: Path) -> None:
    """Write the page from a report of runs, one JSON object a line."""
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    part = counted(rows, datetime.now(UTC))
    PAGE.write_text(written(PAGE.read_text(), part))
    print(f"{PAGE.relative_to(ROOT)} shows {len(latest(rows, 'run'))} runs.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
