"""A real Envoy in front of the upstream, with the settings that a test needs."""

import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from .upstream import AUDIENCE, ISSUER, PAGES, SERVICES, Identity, Upstream, listening, until

GATEWAY = Path(__file__).parents[2] / "deploy" / "gateway"
ENVOY = Path(sys.executable).with_name("envoy")


@dataclass
class Gateway:
    """A running Envoy."""

    url: str
    admin_url: str
    log: Path
    process: subprocess.Popen[bytes]

    def access_log(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def send(self, request: bytes) -> bytes:
        """The beginning of the answer to these very bytes."""
        with socket.create_connection((self.host, self.port), timeout=10) as connection:
            connection.sendall(request)
            return connection.recv(65536)

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 80


StartGateway = Callable[..., Gateway]


def render(folder: Path, settings: dict[str, Any]) -> Path:
    """Envoy's configuration for these settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    command: list[str | Path] = [sys.executable, GATEWAY / "render.py"]
    arguments: list[str | Path] = ["--out", folder, "--env", folder / "settings.json"]
    subprocess.run([*command, *arguments], check=True)
    return folder / "envoy.yaml"


def gateway_settings(ports: dict[str, int], **changes: Any) -> dict[str, Any]:
    free = [listening() for _ in range(2)]
    gateway_port, admin_port = (sock.getsockname()[1] for sock in free)
    for sock in free:
        sock.close()
    return {
        "gateway_port": gateway_port,
        "admin_port": admin_port,
        "services": {name: ports[name] for name in SERVICES},
        **{f"{page}_port": ports[page] for page in PAGES},
        "token_issuer": ISSUER,
        "token_audience": AUDIENCE,
        "rate_limit_per_address": 0,
        "rate_limit_per_principal": 0,
        "cors_origins": ["https://shop.example"],
    } | changes


@pytest.fixture(scope="session")
def identity() -> Identity:
    return Identity()


@pytest.fixture(scope="session")
def upstream(identity: Identity) -> Iterator[Upstream]:
    upstream = Upstream(identity)
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def start_gateway(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartGateway]:
    """Starts gateways with settings of a test's own and ends them with the last test."""
    running: list[Gateway] = []

    def start(*, keys: bool = True, **changes: Any) -> Gateway:
        folder = tmp_path_factory.mktemp("gateway")
        settings = gateway_settings(upstream.ports, **changes)
        configuration = render(folder, settings)
        log = folder / "envoy.log"
        base_id = str(secrets.randbelow(2**31))
        options = ["--base-id", base_id, "--concurrency", "2", "--log-level", "warning"]
        command: list[str | Path] = [
            ENVOY,
            "-c",
            configuration,
            *options,
            "--file-flush-interval-msec",
            "50",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        gateway = Gateway(
            f"http://127.0.0.1:{settings['gateway_port']}",
            f"http://127.0.0.1:{settings['admin_port']}",
            log,
            process,
        )
        running.append(gateway)
        until(lambda: answers(gateway.url + "/readyz"))
        if keys:
            until(lambda: has_keys(gateway))
        return gateway

    yield start
    for gateway in running:
        gateway.process.terminate()
        gateway.process.wait(10)


@pytest.fixture(scope="session")
def gateway(start_gateway: StartGateway) -> Gateway:
    return start_gateway()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def has_keys(gateway: Gateway) -> bool:
    """Whether the key set has arrived, by the admin port, so that no limit counts the request."""
    counters = httpx.get(gateway.admin_url + "/stats?filter=jwks_fetch_success").text
    return any(not line.endswith(": 0") for line in counters.splitlines())
