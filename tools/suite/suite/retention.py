"""The page of operators about retention: its table is derived from the services' tables."""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Table

from chassis.model import RETENTION, DeletedBy, DeletedWith, Policy, Pruned, Retained
from chassis.pruning import CHASSIS_TABLES

PAGE = Path("docs/operations/retention.md")
HEAD = """\
| Service | Table | Policy | Reason or exception | Least |
|---|---|---|---|---|
"""
MINUTES_PER_DAY = 1440


def page(root: Path, services: Iterable[str]) -> str:
    """Return the page with its table, which is its end, as the code has it."""
    text = (root / PAGE).read_text().partition(HEAD)[0]
    lines = _lines("every service", (t for each in CHASSIS_TABLES for t in each.sorted_tables))
    found = [*lines]
    for service in services:
        metadata = importlib.import_module(f"{service}.main").service.metadata
        found += _lines(service, metadata.sorted_tables)
    return text + HEAD + "".join(found)


def _lines(owner: str, tables: Iterable[Table]) -> Iterator[str]:
    for table in sorted(tables, key=lambda each: each.name):
        cells = (owner, f"`{table.name}`", *_cells(table.info.get(RETENTION)))
        yield f"| {' | '.join(cells)} |\n"


def _cells(policy: Policy | None) -> tuple[str, str, str]:
    """The policy, its reason or exception, and the fewest days that can be set."""
    match policy:
        case Retained(reason):
            return "retained", reason, ""
        case DeletedBy(event):
            return "deleted by", event, ""
        case DeletedWith(parent):
            return "deleted with", f"its row of `{parent}`", ""
        case Pruned() if policy.days < 1:
            minutes = f"{policy.days * MINUTES_PER_DAY:.0f} min"
            return f"pruned after {minutes}", "", minutes
        case Pruned():
            unless = f"unless {policy.unless}" if policy.unless else ""
            return f"pruned after {policy.days:g} d", unless, f"{policy.least:g} d"
        case None:
            return "none", "", ""
