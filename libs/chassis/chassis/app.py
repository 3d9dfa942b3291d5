"""The application factory: routers behind the edge, health, problem documents, tidy OpenAPI."""

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import State

from chassis import openapi, problems


class Fault(BaseModel):
    """One field that breaks a rule: where it stands (RFC 6901), and which rule."""

    pointer: str
    rule: str


class Problem(BaseModel):
    """RFC 9457 problem document. `code` is stable; some carry members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: list[Fault] | None = None


class Readiness(BaseModel):
    """Whether the process can do its work, and what keeps it from it."""

    ready: bool
    checks: dict[str, str]


class Application(FastAPI):
    """A service's routes, and a document of them that is read off their code."""

    describing = threading.Lock()

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document: made when it is first asked for, which takes a while, then kept."""
        with self.describing:
            is_new = self.openapi_schema is None
            document = super().openapi()
            if is_new:
                openapi.describe(document, self.routes)
            return document

    def on(self, parts: Mapping[str, Any]) -> "Application":
        """The same routes over these parts, as `state`: making the routes anew would take long."""
        one = copy.copy(self)
        one.state = State(dict(parts))
        return one


def create_app(name: str, routers: Sequence[APIRouter]) -> Application:
    """A service's application; what it runs on is in its `state`.

    `state.checks()` returns what is wrong by name; empty means ready.
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
        # Not async, so that nobody waits while it is made.
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
