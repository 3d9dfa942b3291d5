"""One small upstream that answers for every service and remembers what reached it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from suite import repository

SERVICES = repository.services(repository.ROOT)
PAGES = ("docs", "sandbox", "mail")
ISSUER, AUDIENCE = "https://shop.example", "cartwright"


def listening() -> socket.socket:
    """A socket on a free port of loopback.

    The protocol is named because asyncio sets TCP_NODELAY only where it is.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", 0))
    return found


def until(true: Callable[[], bool], seconds: float = 60) -> None:
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
    """All services at once: the port names the one that was meant."""

    def __init__(self, identity: Identity) -> None:
        self.identity: Identity | None = identity
        self.key_sets_refused = 0
        self.sockets = {name: listening() for name in (*SERVICES, *PAGES)}
        self.ports = {name: sock.getsockname()[1] for name, sock in self.sockets.items()}
        self.names = {port: name for name, port in self.ports.items()}
        self.bytes_received = 0
        self.spans_received = threading.Event()
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
            return JSONResponse(self.identity.key_set())

        @app.post("/v1/traces")
        async def collect() -> None:
            self.spans_received.set()

        self.add_special_answers(app)
        self.add_echo(app)
        return app

    def add_special_answers(self, app: FastAPI) -> None:
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

        @app.get("/v1/shipments/refused")
        async def refused() -> Response:
            problem = {"title": "Conflict", "status": 409, "code": "of_the_service"}
            return Response(json.dumps(problem), 409, media_type="application/problem+json")

    def add_echo(self, app: FastAPI) -> None:
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

    async def events(self) -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.to_thread(self.may_go_on.wait, 10)
        yield "data: last\n\n"
