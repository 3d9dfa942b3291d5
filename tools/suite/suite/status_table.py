"""The table `status` shows."""

import time
from datetime import timedelta

import psutil
from rich.table import Table

from suite import ready
from suite.control import ProcessStatus
from suite.instance import Instance


def of(suite: Instance) -> Table:
    """Return a row per process, and below a pack one for each of its services.

    Memory is PSS in MiB, its children's included, and its share of all; the processor's use is the
    average since the start, in percent of one core.
    """
    planned = suite.processes()
    statuses = suite.status()
    memory = {name: memory_of(status.pid) for name, status in statuses.items()}
    total = sum(memory.values())
    table = Table(box=None, header_style="bold")
    for column in ("process", "state", "pid", "port", "up", "restarts", "CPU %", "MiB", "%"):
        table.add_column(column, justify="left" if column in {"process", "state"} else "right")
    ports = suite.environment.ports
    with ready.web_client() as web:
        for name, status in statuses.items():
            process = planned.get(name)
            checks = process.health if process is not None and status.pid else []
            passed = {check for check in checks if ready.passes(check, web)}
            table.add_row(
                name,
                _state(status, healthy=process is not None and len(passed) == len(checks)),
                str(status.pid or "–"),
                str(ports.get(name, "–")),
                _age(status),
                str(status.restarts),
                f"{processor_of(status.pid):.1f}",
                f"{memory[name]:.0f}",
                f"{100 * memory[name] / total:.0f}" if total else "–",
            )
            services = process.services if process is not None else []
            for service in services if len(services) > 1 else []:
                check = f"{suite.url(service)}/readyz"
                state = _state(status, healthy=check in passed)
                table.add_row(f"  {service}", state, "", str(ports[service]))
    table.add_row(*[""] * 7, f"{total:.0f}", "", style="bold")
    return table


def processor_of(pid: int | None) -> float:
    """Return the processor time of a process and its children since its start, in % of a core."""
    if pid is None:
        return 0.0
    try:
        process = psutil.Process(pid)
        age = time.time() - float(process.create_time())
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return 100.0 * sum(float(each.user + each.system) for each in used) / max(age, 1.0)


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
