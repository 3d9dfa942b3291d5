"""A second process of a service beside the one that runs, as big shops have it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shopfloor import until
from suite import repository
from suite.instance import Instance
from suite.orphans import MARK
from testkit.processes import free_port


@asynccontextmanager
async def replica(instance: Instance, service: str, kind: str = "all") -> AsyncIterator[str]:
    """Run another `python -m <service> <kind>` on the same queue and database; gives its URL."""
    async with replica_process(instance, service, kind) as (url, _):
        yield url


@asynccontextmanager
async def replica_process(
    instance: Instance, service: str, kind: str = "all", **settings: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The same, with settings of its own; gives its URL and its process."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = {
        **os.environ, **instance.processes()[service].env,
        "PORT": str(port), MARK: str(instance.folder), **settings,
    }  # fmt: skip
    with instance.log(f"{service}.replica").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", service, kind,
            cwd=repository.ROOT / "services" / service, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        await until(lambda: _is_ready(url))
        yield url, process
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(url: str) -> bool:
    async with httpx.AsyncClient() as http:
        try:
            return (await http.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False
