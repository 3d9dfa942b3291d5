"""The block of ports an instance listens on: found free, recorded, and kept for the next start."""

import json
import socket
from collections.abc import Iterable
from pathlib import Path

from suite.refusals import NoFreePorts

FIRST_BASE = 18400
BLOCK = 50
# Above it the kernel hands ports to outgoing connections.
LAST_BASE = 32000

FIXED = (
    "gateway",
    "gateway_admin",
    "docs",
    "sandbox_provider",
    "mailcatcher",
    "smtp",
    "postgres",
    "rabbitmq",
    "rabbitmq_management",
    "rabbitmq_distribution",
    "epmd",
)
FIRST_SERVICE = 20


def is_free(port: int) -> bool:
    """Say whether a server could listen on the port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def recorded(file: Path) -> dict[str, int]:
    """Return the recorded ports by name."""
    numbers: dict[str, int] = json.loads(file.read_text())
    return {name: port for name, port in numbers.items() if name != "base"}


def assign(file: Path, services: Iterable[str], *, running: bool) -> dict[str, int]:
    """Return the port of every process, by name, and record it in the file.

    A recorded block is kept while it is free, or while our own processes are what takes it.
    Otherwise the whole block moves on. A service added later takes the next number of the block.
    """
    services = list(services)
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    offsets = _offsets(known, services)
    base = known.get("base", FIRST_BASE)
    if not running:
        base = _first_free(base, offsets.values())
    ports = {name: base + offset for name, offset in offsets.items()}
    file.write_text(json.dumps({"base": base, **ports}, indent=2) + "\n")
    return ports


def _offsets(known: dict[str, int], services: Iterable[str]) -> dict[str, int]:
    offsets = {name: position for position, name in enumerate(FIXED)}
    kept = {name: known[name] - known["base"] for name in services if name in known}
    unused = (offset for offset in range(FIRST_SERVICE, BLOCK) if offset not in kept.values())
    return offsets | {name: kept[name] if name in kept else next(unused) for name in services}


def _first_free(base: int, offsets: Iterable[int]) -> int:
    wanted = list(offsets)
    candidates: Iterable[int] = (base, *range(FIRST_BASE, LAST_BASE, BLOCK))
    for candidate in candidates:
        if all(is_free(candidate + offset) for offset in wanted):
            return candidate
    raise NoFreePorts(f"every block of {BLOCK} ports from {FIRST_BASE} to {LAST_BASE} is in use.")
