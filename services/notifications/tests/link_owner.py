"""A server that issues mail links, as identity and orders do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from chassis.ids import new_id

LINK = "https://shop.example/?token="


@dataclass
class LinkOwner:
    """Returns the same link to each request, or the next status of `refusals`."""

    url: str = ""
    secret: str = field(default_factory=lambda: f"canary-{new_id().hex}")
    refusals: list[int] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def link(self) -> str:
        return f"{LINK}{self.secret}"

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/token")
        async def token() -> Response:
            return JSONResponse({"access_token": "of notifications", "expires_in": 600})

        @app.post("/internal/mail-links/{reference_id}")
        async def link(reference_id: str, request: Request) -> Response:
            self.requested.append(reference_id)
            self.tokens.add(request.headers["authorization"])
            status = self.refusals.pop(0) if self.refusals else 200
            if status != 200:
                problem = {"detail": "no", "code": "refused", "status": status}
                return JSONResponse(problem, status_code=status)
            return JSONResponse({"link": self.link, "token": self.secret})

        return app


@asynccontextmanager
async def running_link_owner() -> AsyncIterator[LinkOwner]:
    """An owner that listens while the block lasts."""
    owner = LinkOwner()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        owner.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(owner.application(), log_level="error", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield owner
        finally:
            server.should_exit = True
            await serving
