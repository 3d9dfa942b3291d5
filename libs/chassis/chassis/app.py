"""The application factory: routers, health checks, problem documents and OpenAPI."""

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from chassis import openapi, problems
from chassis.errors import Unavailable


class Fault(BaseModel):
    """A field that breaks a rule: its JSON Pointer (RFC 6901) and the rule."""

    pointer: str
    rule: str


class Problem(BaseModel):
    """An RFC 9457 problem document. `code` is stable; some problems add members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: list[Fault] | None = None


class Readiness(BaseModel):
    """Whether the process can serve, and which checks fail."""

    ready: bool
    checks: dict[str, str]


class Application(FastAPI):
    """A service's routes, with an OpenAPI document derived from their code."""

    openapi_lock = threading.Lock()

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; built on the first call, which is slow, and then cached."""
        with self.openapi_lock:
            is_new = self.openapi_schema is None
            document = super().openapi()
            if is_new:
                openapi.describe(document, self.routes)
            return document

    def with_state(self, parts: Mapping[str, Any]) -> "Application":
        """The same routes with other `state`; building the routes again would be slow."""
        application = copy.copy(self)
        application.state = State(dict(parts))
        return application


def create_app(name: str, routers: Sequence[APIRouter]) -> Application:
    """A service's application; its dependencies are in `state`.

    `state.checks()` returns the failing checks by name; empty means ready.
    """
    app = Application(
        title=f"Cartwright {name}",
        version="1",
        generate_unique_id_function=openapi.operation_id,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": Problem, "description": "A problem document"}},
    )
    problems.install(app)

    @app.get("/openapi.json", include_in_schema=False)
    def document() -> JSONResponse:
        # Not async: building the document would block the event loop.
        return JSONResponse(app.openapi())

    @app.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request, response: Response) -> Readiness:
        wrong = await request.app.state.checks()
        response.status_code = 503 if wrong else 200
        return Readiness(ready=not wrong, checks=wrong)

    for router in routers:
        app.include_router(router)
    return app


async def answer_restarting(scope: Scope, receive: Receive, send: Send) -> None:
    """An application in the place of one that failed: alive, and not ready for any request."""
    if scope["path"] == "/livez":
        await JSONResponse({"status": "alive"})(scope, receive, send)
        return
    if scope["path"] == "/readyz":
        red = Readiness(ready=False, checks={"process": "restarting"})
        await JSONResponse(red.model_dump(), status_code=503)(scope, receive, send)
        return
    raise Unavailable("The service is restarting; try again soon.")
