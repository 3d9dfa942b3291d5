"""Processor time and memory of the suite's processes, by name."""

import os
import time
from dataclasses import dataclass

import psutil

from suite import status_table
from suite.instance import Instance

MIB = 2**20


@dataclass(frozen=True)
class Usage:
    """Processor seconds used so far, or between two readings.

    `by_process` covers a process, its live descendants, and its reaped children, such as closed
    connections of PostgreSQL: nothing is lost when a process ends.
    """

    at: float
    by_process: dict[str, float]
    driver: float
    machine: float

    @property
    def suite(self) -> float:
        """All processes of the suite together."""
        return sum(self.by_process.values())

    def since(self, earlier: "Usage") -> "Usage":
        """The usage since an earlier reading; `at` becomes the seconds in between."""
        return Usage(
            at=self.at - earlier.at,
            by_process={
                name: used - earlier.by_process.get(name, 0.0)
                for name, used in self.by_process.items()
            },
            driver=self.driver - earlier.driver,
            machine=self.machine - earlier.machine,
        )

    @property
    def others(self) -> float:
        """The usage of the rest of the machine, the kernel's threads included."""
        return max(0.0, self.machine - self.suite - self.driver)

    @property
    def share_of_others(self) -> float:
        """The share of all used processor time that was neither the suite's nor the driver's."""
        return round(self.others / self.machine, 3) if self.machine else 0.0


def usage(suite: Instance) -> Usage:
    """Read the usage so far."""
    by_process = {name: _of_family(pid) for name, pid in suite.pids.items()}
    by_process["supervisor"] = _of_one(psutil.Process(supervisor(suite)))
    own = os.times()
    machine = psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0) + getattr(machine, "steal", 0.0)
    # Guests are counted within user and nice as well.
    counted_twice = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
    return Usage(
        at=time.perf_counter(),
        by_process=by_process,
        driver=own.user + own.system,
        machine=sum(machine) - idle - counted_twice,
    )


def memory(suite: Instance) -> dict[str, float]:
    """The proportional memory (PSS) of each process and its children, in MiB."""
    found = {name: status_table.memory_of(pid) for name, pid in suite.pids.items()}
    own = psutil.Process(supervisor(suite)).memory_full_info().pss
    return {**found, "supervisor": own / MIB}


def restarts(suite: Instance) -> int:
    """The number of restarts of processes since the instance started."""
    return sum(each.restarts for each in suite.status().values())


def supervisor(suite: Instance) -> int:
    """The process id of the instance's supervisor."""
    return int((suite.folder / "supervisor.pid").read_text())


def _of_family(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_of_one(each) for each in family)


def _of_one(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        # It ended between two readings; its parent's next reading includes its time.
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
