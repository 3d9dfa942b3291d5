"""Waiting until processes answer, each for its own reason, with one deadline over all."""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx

from suite.plan import Process
from suite.postgres import in_a_loop_of_its_own
from suite.refusals import NotReady

POLL = 0.2
LINES_SHOWN = 15
# A process that ends this often while it is waited for will not become ready by more waiting.
TRIES = 5


def web_client() -> httpx.Client:
    """Return a client for loopback addresses: no proxy, no certificates to load."""
    return httpx.Client(timeout=2, trust_env=False, verify=False)  # noqa: S501


def is_ready(process: Process, web: httpx.Client) -> bool:
    """Ask the process once whether it is ready."""
    scheme = urlsplit(process.health).scheme
    try:
        match scheme:
            case "http":
                return web.get(process.health).status_code == httpx.codes.OK
            case "postgresql":
                return in_a_loop_of_its_own(_connects(process.health))
            case "tcp" | "unix":
                return _accepts(process.health)
            case _:
                return True
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
    """Wait for all of them, saying who is ready; raises NotReady with the tail of each silent log.

    `deadline` is in seconds from now; a process that only ever ends again is given up earlier. Ends
    before now do not count: tests kill the same process again and again.
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
            hopeless = [
                each
                for each in waiting
                if counts.get(each.name, 0) - before.get(each.name, 0) >= TRIES
            ]
            if hopeless or (waiting and took > deadline):
                raise NotReady(_explain(hopeless or waiting, logs, took))
            if waiting:
                time.sleep(POLL)


def _explain(silent: Iterable[Process], logs: Path, took: float) -> str:
    stories = []
    for process in silent:
        log = logs / f"{process.name}.log"
        story = f"{process.name} is not ready after {took:.0f} s; the end of {log}:"
        stories.append(f"{story}\n{tail(log, LINES_SHOWN)}")
    return "\n".join(stories)


def tail(log: Path, count: int) -> str:
    """Return the last lines of a log, indented."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (it wrote nothing)"
