"""The table `status` shows."""

import time
from datetime import timedelta

import psutil
from rich.table import Table

from suite import ready
from suite.control import ProcessStatus
from suite.instance import Instance


def of(suite: Instance) -> Table:
    """Return a row for each process; memory is PSS in MiB, its own and its children's."""
    statuses = suite.status()
    planned = suite.processes()
    table = Table(box=None, header_style="bold")
    for column in ("process", "state", "pid", "port", "up", "restarts", "MiB"):
        table.add_column(column, justify="left" if column in {"process", "state"} else "right")
    whole = 0.0
    with ready.web_client() as web:
        for name, status in statuses.items():
            process = planned.get(name)
            well = status.pid is not None and process is not None and ready.is_ready(process, web)
            memory = memory_of(status.pid)
            whole += memory
            table.add_row(
                name,
                _state(status, well=well),
                str(status.pid or "–"),
                str(suite.environment.ports.get(name, "–")),
                _age(status),
                str(status.restarts),
                f"{memory:.0f}",
            )
    table.add_row("", "", "", "", "", "", f"{whole:.0f}", style="bold")
    return table


def memory_of(pid: int | None) -> float:
    """Return the proportional memory in MiB of a process and its children; 0 when it is gone."""
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


def _state(status: ProcessStatus, *, well: bool) -> str:
    if status.state == "running":
        return "[green]ready[/]" if well else "[yellow]not ready[/]"
    return {"waiting": "[red]restarting[/]"}.get(status.state, status.state)


def _age(status: ProcessStatus) -> str:
    if status.since is None:
        return "–"
    return str(timedelta(seconds=int(time.time() - status.since)))
