"""A real Envoy in front of one small upstream that answers for every service and remembers what reached it."""

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

GATEWAY = Path(__file__).parents[2] / "deploy" / "gateway"
ENVOY = Path(sys.executable).with_name("envoy")
SERVICES = (
    "identity",
    "catalog",
    "cart",
    "promotions",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "sellers",
    "notifications",
    "support",
    "analytics",
)
PAGES = ("docs", "sandbox", "mail")
ISSUER, AUDIENCE = "https://shop.example", "cartwright"


def listening() -> socket.socket:
    """A socket on a free port of loopback.

    The protocol is named because asyncio sets TCP_NODELAY only where it is.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", 0))
    return found


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for a condition; an assertion fails when it does not come about in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition never came about"
        time.sleep(0.02)


@dataclass
class Identity:
    """Signs tokens as identity does and publishes its key."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    key_id: str = "first"

    def token(self, *, lives: float = 300, **changes: Any) -> str:
        now = time.time()
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "buyer", "iat": now, "exp": now + lives}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(claims, self.key, "ES256", {"kid": self.key_id, "typ": "at+jwt"})

    def key_set(self) -> dict[str, Any]:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": self.key_id, "alg": "ES256", "use": "sig"}]}


class Upstream:
    """All services at once: which one was meant is told by the port."""

    def __init__(self, identity: Identity) -> None:
        self.identity: Identity | None = identity
        self.key_sets_served = 0
        self.key_sets_refused = 0
        self.sockets = {name: listening() for name in (*SERVICES, *PAGES)}
        self.ports = {name: sock.getsockname()[1] for name, sock in self.sockets.items()}
        self.names = {port: name for name, port in self.ports.items()}
        self.bytes_received = 0
        self.may_go_on = threading.Event()
        self.server = uvicorn.Server(
            uvicorn.Config(self.app(), log_level="warning", access_log=False)
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self.server.serve(sockets=list(self.sockets.values())))

    def start(self) -> None:
        self.thread.start()
        until(lambda: self.server.started)

    def stop(self) -> None:
        self.server.force_exit = True
        self.server.should_exit = True
        self.thread.join(10)

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.get("/.well-known/jwks.json")
        async def key_set() -> Response:
            if self.identity is None:
                self.key_sets_refused += 1
                return Response(status_code=503)
            self.key_sets_served += 1
            return JSONResponse(self.identity.key_set())

        @app.get("/v1/orders/{order_id}/progress")
        async def progress(order_id: str) -> StreamingResponse:
            return StreamingResponse(self.events(), media_type="text/event-stream")

        @app.get("/v1/products")
        async def many_products() -> list[str]:
            return ["a product like many others"] * 500

        @app.get("/v1/products/{product_id}")
        async def one_product(product_id: str, response: Response) -> list[str]:
            response.headers["etag"] = '"7"'
            return ["a product like many others"] * 500

        @app.get("/v1/shipments/stuck")
        async def stuck() -> None:
            await asyncio.to_thread(self.may_go_on.wait, 10)

        @app.get("/v1/tickets/refused")
        async def refused() -> Response:
            problem = {"title": "Conflict", "status": 409, "code": "of_the_service"}
            return Response(json.dumps(problem), 409, media_type="application/problem+json")

        @app.api_route(
            "/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        )
        async def echo(path: str, request: Request) -> dict[str, Any]:
            body = b""
            async for chunk in request.stream():
                self.bytes_received += len(chunk)
                body += chunk
            return {
                "service": self.names[request.scope["server"][1]],
                "path": request.url.path,
                "headers": dict(request.headers),
                "body_bytes": len(body),
            }

        return app

    async def events(self) -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.to_thread(self.may_go_on.wait, 10)
        yield "data: last\n\n"


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
    """Whether the key set has arrived; asked of the admin port, so that no limit is touched."""
    counters = httpx.get(gateway.admin_url + "/stats?filter=jwks_fetch_success").text
    return any(not line.endswith(": 0") for line in counters.splitlines())
