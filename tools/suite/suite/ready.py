"""Health checks of processes, and waiting until all of them pass, with one deadline."""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx

from suite.plan import Process
from suite.postgres import run_in_own_loop
from suite.refusals import NotReady

POLL = 0.2
LINES_SHOWN = 15
# A process that ends this often during one wait will not become ready.
TRIES = 5


def web_client() -> httpx.Client:
    """Return a client for loopback addresses: no proxy, no certificates to load."""
    return httpx.Client(timeout=2, trust_env=False, verify=False)  # noqa: S501


def is_ready(process: Process, web: httpx.Client) -> bool:
    """Run the process's health checks once; whether all pass."""
    return all(passes(check, web) for check in process.health)


def passes(check: str, web: httpx.Client) -> bool:
    """Run one health check once."""
    try:
        match urlsplit(check).scheme:
            case "http":
                return web.get(check).status_code == httpx.codes.OK
            case "postgresql":
                return run_in_own_loop(_connects(check))
            case _:
                return _accepts(check)
    except (OSError, httpx.HTTPError, asyncpg.PostgresError):
        return False


async def _connects(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn, timeout=2)
    await connection.close()
    return True


def _accepts(url: str) -> bool:
    address = urlsplit(url)
    if address.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(address.path)
        return True
    with socket.create_connection((address.hostname, address.port), timeout=2):
        return True


def wait(
    processes: Iterable[Process],
    logs: Path,
    deadline: float,
    report: Callable[[str], None],
    restarts: Callable[[], Mapping[str, int]],
) -> None:
    """Wait for all processes and report each that is ready; raises NotReady with the logs' ends.

    `deadline` is in seconds from now; the wait ends earlier for a process that ends TRIES times.
    Earlier restarts do not count: tests kill the same process repeatedly.
    """
    began = time.monotonic()
    waiting = list(processes)
    before = restarts()
    with ThreadPoolExecutor(max_workers=8) as pool, web_client() as web:
        while waiting:
            answers = list(pool.map(lambda process: is_ready(process, web), waiting))
            took = time.monotonic() - began
            for process, ready in zip(waiting, answers, strict=True):
                if ready:
                    report(f"{process.name} is ready ({took:.1f} s)")
            waiting = [each for each, ready in zip(waiting, answers, strict=True) if not ready]
            counts = restarts()
            failing = [
                each
                for each in waiting
                if counts.get(each.name, 0) - before.get(each.name, 0) >= TRIES
            ]
            if failing or (waiting and took > deadline):
                raise NotReady(_explain(failing or waiting, logs, took))
            if waiting:
                time.sleep(POLL)


def _explain(unready: Iterable[Process], logs: Path, took: float) -> str:
    messages = []
    for process in unready:
        log = logs / f"{process.name}.log"
        head = f"{process.name} is not ready after {took:.0f} s; the end of {log}:"
        messages.append(f"{head}\n{tail(log, LINES_SHOWN)}")
    return "\n".join(messages)


def tail(log: Path, count: int) -> str:
    """Return the last lines of a log, indented."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (empty)"
