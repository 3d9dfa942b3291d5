"""Two replicas of every service behind a gateway of their own, which can be rolled and reloaded."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from invariants import SERVICES
from suite import repository
from suite.instance import Instance

REPLICAS = 2
NOTICE = 4.0
STARTS_AT_ONCE = 3
WAIT_LIMIT = 120.0


def free_ports(count: int) -> list[int]:
    """Ports without a listener."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Replica:
    """One process of a service, and how long its drains took, in seconds."""

    service: str
    port: int
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    drains: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.service, "all"],
                env=self.environment, stdout=output, stderr=output,
                cwd=repository.ROOT / "services" / self.service,
            )  # fmt: skip

    async def ready(self, http: httpx.AsyncClient) -> None:
        """Wait until it reports that it is ready."""
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.port}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop it in good order, and note how long that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, WAIT_LIMIT)
        self.drains.append(time.monotonic() - began)
        assert code == 0, f"{self.service} ended with {code}: see {self.log}"

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Fleet:
    """Every service twice; the suite's own processes go on beside them, as workers do."""

    def __init__(self, instance: Instance, folder: Path) -> None:
        self.instance = instance
        self.folder = folder
        ports = free_ports(REPLICAS * len(SERVICES) + 2)
        self.settings = instance.environment.of_gateway([]) | {
            "gateway_port": ports.pop(), "admin_port": ports.pop(), "metrics_port": None,
            "seconds": {"idle": NOTICE / 2},
        }  # fmt: skip
        self.replicas = {
            name: [self._replica(name, ports.pop()) for _ in range(REPLICAS)] for name in SERVICES
        }
        self.settings["services"] = {
            name: [each.port for each in replicas] for name, replicas in self.replicas.items()
        }
        self.url = f"http://127.0.0.1:{self.settings['gateway_port']}"
        self.envoy: subprocess.Popen[bytes] | None = None
        self.http = httpx.AsyncClient(timeout=5)

    def _replica(self, service: str, port: int) -> Replica:
        changes = {"PORT": str(port), "DRAIN_NOTICE": str(NOTICE)}
        environment = self.instance.env(service) | changes | {"PATH": os.environ["PATH"]}
        return Replica(service, port, environment, self.folder / f"{service}-{port}.log")

    @property
    def everyone(self) -> list[Replica]:
        """Every replica."""
        return [each for replicas in self.replicas.values() for each in replicas]

    async def up(self) -> None:
        """Start everything and wait until the gateway serves."""
        await self._begin(self.everyone)
        self.render()
        self._start_envoy()
        # Its own health goes first, then the key set, without which no token is believed.
        await self._until("/readyz")
        await self._until("/.well-known/jwks.json")

    def _start_envoy(self) -> None:
        options = ["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        with (self.folder / "envoy.log").open("wb") as output:
            self.envoy = subprocess.Popen(
                [repository.programs() / "envoy", "-c", self.folder / "envoy.yaml", *options],
                stdout=output, stderr=output,
            )  # fmt: skip

    async def _until(self, path: str) -> None:
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                try:
                    if (await self.http.get(self.url + path)).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def _begin(self, replicas: list[Replica]) -> None:
        """Start them, a few at once, and wait until they are ready."""
        few = asyncio.Semaphore(STARTS_AT_ONCE)

        async def one(replica: Replica) -> None:
            async with few:
                replica.start()
                await replica.ready(self.http)

        await asyncio.gather(*(one(each) for each in replicas))

    async def roll(self, number: int) -> None:
        """Restart one replica of every service, in good order."""

        chosen = [each[number] for each in self.replicas.values()]
        await asyncio.gather(*(each.stop() for each in chosen))
        await self._begin(chosen)

    def render(self, **changes: Any) -> None:
        """Write the gateway's configuration, which a running gateway then takes over."""
        self.settings |= changes
        file = self.folder / "settings.json"
        file.write_text(json.dumps(self.settings))
        render = repository.ROOT / "deploy/gateway/render.py"
        command = [sys.executable, str(render), "--out", str(self.folder), "--env", str(file)]
        subprocess.run(command, check=True)

    async def down(self) -> None:
        """End everything."""
        await self.http.aclose()
        for each in self.everyone:
            each.kill()
        if self.envoy is not None:
            self.envoy.terminate()
            self.envoy.wait(10)
