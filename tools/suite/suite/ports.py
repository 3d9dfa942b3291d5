"""The block of ports of an instance: found free, recorded, and reused by the next start."""

import json
import socket
from collections.abc import Iterable
from pathlib import Path

from suite.refusals import NoFreePorts

FIRST_BASE = 18400
BLOCK = 50
# Above it the kernel assigns ports to outgoing connections.
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
    "supervisor",
    "collector",
    "rabbitmq_metrics",
    "gateway_metrics",
)
FIRST_SERVICE = 20


def listen(port: int) -> socket.socket | None:
    """Return a listening socket on the port of the loopback address, or None when it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback address now."""
    if listener := listen(port):
        listener.close()
    return listener is not None


def recorded(file: Path) -> dict[str, int]:
    """Return the recorded ports by name."""
    numbers: dict[str, int] = json.loads(file.read_text())
    return {name: port for name, port in numbers.items() if name != "base"}


def assign(file: Path, services: Iterable[str], *, claimed: bool) -> socket.socket | None:
    """Record the port of every process and return the claim on the block.

    A recorded block is reused while it is free; otherwise the next free block is taken. The claim
    is a socket that listens on the block's `supervisor` port: its holder owns the block, so two
    instances that start at once cannot take the same. With `claimed` the running instance owns
    the block already, and None is returned. A new service takes the next number of the block.
    """
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    offsets = _offsets(known, list(services))
    base, claim = known.get("base", FIRST_BASE), None
    if not claimed:
        base, claim = _claim(base, offsets)
    ports = {name: base + offset for name, offset in offsets.items()}
    file.write_text(json.dumps({"base": base, **ports}, indent=2) + "\n")
    return claim


def _offsets(known: dict[str, int], services: Iterable[str]) -> dict[str, int]:
    offsets = {name: position for position, name in enumerate(FIXED)}
    recorded = {name: known[name] - known["base"] for name in services if name in known}
    unused = (offset for offset in range(FIRST_SERVICE, BLOCK) if offset not in recorded.values())
    return offsets | {
        name: recorded[name] if name in recorded else next(unused) for name in services
    }


def _claim(base: int, offsets: dict[str, int]) -> tuple[int, socket.socket]:
    candidates: Iterable[int] = (base, *range(FIRST_BASE, LAST_BASE, BLOCK))
    for candidate in candidates:
        claim = listen(candidate + offsets["supervisor"])
        others = (candidate + offset for name, offset in offsets.items() if name != "supervisor")
        if claim and all(is_free(port) for port in others):
            return candidate, claim
        if claim:
            claim.close()
    raise NoFreePorts(f"every block of {BLOCK} ports from {FIRST_BASE} to {LAST_BASE} is in use.")
