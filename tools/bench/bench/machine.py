"""The context of the figures: the machine, the servers' versions and settings, the commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import psutil

from suite.instance import Instance

SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers")


async def facts(suite: Instance | None) -> dict[str, Any]:
    """The facts that make figures comparable; servers of a local instance alone."""
    found: dict[str, Any] = {
        "cores": len(psutil.Process().cpu_affinity() or []) or os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    return {**found, **await _servers(suite)} if suite else found


async def _servers(suite: Instance) -> dict[str, Any]:
    database = await asyncpg.connect(suite.dsn("postgres", "postgres"))
    settings = {name: await database.fetchval(f"show {name}") for name in SETTINGS}
    await database.close()
    async with await aio_pika.connect(suite.broker_url()) as broker:
        properties = broker.transport.connection.server_properties  # type: ignore[union-attr]
    version = properties.get("version", b"")
    return {
        "postgres": settings.pop("server_version"),
        **settings,
        "rabbitmq": version.decode() if isinstance(version, bytes) else str(version),
    }


def commit(root: Path) -> str | None:
    """The commit of the working tree, with `+` for uncommitted changes; None without git."""
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
