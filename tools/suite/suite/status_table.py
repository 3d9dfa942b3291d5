"""The table `status` shows."""

import time
from datetime import timedelta

import psutil
from rich.table import Table

from suite import ready
from suite.control import ProcessStatus
from suite.instance import Instance


def of(suite: Instance) -> Table:
    """Return a row per process; memory is PSS in MiB, its children's included."""
    statuses = suite.status()
    planned = suite.processes()
    table = Table(box=None, header_style="bold")
    for column in ("process", "state", "pid", "port", "up", "restarts", "MiB"):
        table.add_column(column, justify="left" if column in {"process", "state"} else "right")
    total = 0.0
    with ready.web_client() as web:
        for name, status in statuses.items():
            process = planned.get(name)
            healthy = (
                status.pid is not None and process is not None and ready.is_ready(process, web)
            )
            memory = memory_of(status.pid)
            total += memory
            table.add_row(
                name,
                _state(status, healthy=healthy),
                str(status.pid or "–"),
                str(suite.environment.ports.get(name, "–")),
                _age(status),
                str(status.restarts),
                f"{memory:.0f}",
            )
    table.add_row("", "", "", "", "", "", f"{total:.0f}", style="bold")
    return table


def memory_of(pid: int | None) -> float:
    """Return the proportional memory in MiB of a process and its children; 0 once it has ended."""
    if pid is None:
        return 0.0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_memory_of_one(each) for each in family) / 2**20


def _memory_of_one(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _state(status: ProcessStatus, *, healthy: bool) -> str:
    if status.state == "running":
        return "[green]ready[/]" if healthy else "[yellow]not ready[/]"
    return {"waiting": "[red]restarting[/]"}.get(status.state, status.state)


def _age(status: ProcessStatus) -> str:
    if status.since is None:
        return "–"
    return str(timedelta(seconds=int(time.time() - status.since)))
