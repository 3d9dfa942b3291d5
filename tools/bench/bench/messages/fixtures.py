"""The fixtures of the message path: scratch databases and a virtual host, dropped afterwards."""

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import psutil

from bench.target import Unexpected, until
from suite import topology
from suite.instance import Instance

VHOST = "bench"
PRODUCER, CONSUMER = "producer", "consumer"
ALL_RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}
GRACE = 30.0
# The number of aggregates whose events the producers publish.
AGGREGATES = 50
# The parts of a virtual host's topology; users and permissions are created separately.
SECTIONS = ("policies", "exchanges", "queues", "bindings")


@dataclass
class BenchEventStub:
    """The producer's message class as the topology needs it; the real one loads the chassis."""

    kind: str = "event"
    senders: tuple[str, ...] = ()

    def routing_key(self) -> str:
        """Return owner and name."""
        return "producer.BenchEvent"

    def type_name(self) -> str:
        """Return the type."""
        return "cartwright.producer.BenchEvent.v1"


@dataclass
class Fixtures:
    """The databases, users and virtual host of the measures on an instance's servers."""

    suite: Instance
    passwords: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_urlsafe(24) for name in (PRODUCER, CONSUMER)}
    )

    def dsn(self, name: str) -> str:
        """The scratch database of a service."""
        return self.suite.dsn(f"bench_{name}", "postgres")

    def settings(self, name: str, **more: Any) -> dict[str, str]:
        """The environment of a process, with a free port."""
        broker = self.suite.environment.ports["rabbitmq"]
        unreachable = "http://127.0.0.1:9"
        return {
            **self.suite.environment.inherited(),
            "PORT": str(_free_port()),
            "DATABASE_URL": self.dsn(name).replace("postgresql:", "postgresql+asyncpg:", 1),
            "BROKER_URL": f"amqp://{name}:{self.passwords[name]}@127.0.0.1:{broker}/{VHOST}",
            "JWKS_URL": unreachable,
            "IDENTITY_URL": unreachable,
            "SERVICE_CLIENT_SECRET": "no identity service runs here",
            "LOG_LEVEL": "WARNING",
            **{key.upper(): str(value) for key, value in more.items()},
        }

    async def run(self, role: str, name: str, **more: Any) -> None:
        """Run a process until it ends; raises Unexpected when it fails."""
        process = await self._start(role, self.settings(name, **more))
        if await process.wait():
            raise Unexpected(f"`{role}` failed: see {self.suite.logs / 'messages.log'}")

    @contextlib.asynccontextmanager
    async def running(self, name: str, **more: Any) -> AsyncIterator["Worker"]:
        """Run a service for the context: the consumer's worker, or the producer with its relay."""
        settings = self.settings(name, **more)
        process = await self._start(name, settings)
        worker = Worker(process, f"http://127.0.0.1:{settings['PORT']}")
        try:
            yield worker
        finally:
            await worker.stop()

    async def _start(self, role: str, settings: Mapping[str, str]) -> Process:
        self.suite.logs.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", "bench.messages", role)
        with (self.suite.logs / "messages.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command, env=dict(settings), stdout=log, stderr=log
            )

    @contextlib.asynccontextmanager
    async def reading(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection to the scratch database of a service."""
        connection = await asyncpg.connect(self.dsn(name))
        try:
            yield connection
        finally:
            await connection.close()

    # Creating and dropping.

    async def create(self) -> None:
        """Create everything, and drop first what an earlier run may have left."""
        await self.drop()
        async with self._servers() as (database, api):
            for name in (PRODUCER, CONSUMER):
                await database.execute(f"create database bench_{name}")
                await self.run("tables", name, fill_aggregates=AGGREGATES)
            (await api.put(f"/api/vhosts/{VHOST}")).raise_for_status()
            for name in ("admin", PRODUCER, CONSUMER):
                if name in self.passwords:
                    user = {"password": self.passwords[name], "tags": ""}
                    (await api.put(f"/api/users/{name}", json=user)).raise_for_status()
                right = await api.put(f"/api/permissions/{VHOST}/{name}", json=ALL_RIGHTS)
                right.raise_for_status()
            wanted = topology.definitions({PRODUCER: [], CONSUMER: [BenchEventStub()]}, [])
            objects = {
                section: [{k: v for k, v in entry.items() if k != "vhost"} for entry in rows]
                for section, rows in wanted.items()
                if section in SECTIONS
            }
            brought = await api.post(f"/api/definitions/{VHOST}", json=objects)
            brought.raise_for_status()

    async def drop(self) -> None:
        """Drop everything from the servers; idempotent."""
        async with self._servers() as (database, api):
            for name in (PRODUCER, CONSUMER):
                await database.execute(f"drop database if exists bench_{name} with (force)")
            for path in (f"vhosts/{VHOST}", f"users/{PRODUCER}", f"users/{CONSUMER}"):
                await api.delete(f"/api/{path}")

    @contextlib.asynccontextmanager
    async def _servers(self) -> AsyncIterator[tuple[asyncpg.Connection, httpx.AsyncClient]]:
        management = self.suite.environment.broker.management_url
        database = await asyncpg.connect(self.suite.dsn("postgres", "postgres"))
        async with httpx.AsyncClient(base_url=management, timeout=30, trust_env=False) as api:
            try:
                yield database, api
            finally:
                await database.close()


@dataclass(frozen=True)
class Worker:
    """A process of the producer or the consumer."""

    process: Process
    url: str

    @property
    def cpu_seconds(self) -> float:
        """The processor time used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    async def ready(self) -> None:
        """Wait until it is ready; the consumer then receives messages."""
        async with httpx.AsyncClient(trust_env=False) as web:

            async def is_ready() -> bool:
                if self.process.returncode is not None:
                    raise Unexpected("a process of the message path ended: see its log.")
                try:
                    return (await web.get(f"{self.url}/readyz")).is_success
                except httpx.TransportError:
                    return False

            await until(is_ready, "the start of a process of the message path")

    async def stop(self) -> None:
        """Stop it with SIGTERM, or with SIGKILL after GRACE seconds."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.asynccontextmanager
async def fixtures_on(suite: Instance) -> AsyncIterator[Fixtures]:
    """Create the fixtures on an instance's servers for the context."""
    fixtures = Fixtures(suite)
    try:
        await fixtures.create()
        yield fixtures
    finally:
        await fixtures.drop()
