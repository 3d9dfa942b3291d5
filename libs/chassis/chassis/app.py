"""The application factory: routers behind the edge, health, problem documents, tidy OpenAPI."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from chassis import problems


class ProblemView(BaseModel):
    """RFC 9457 problem document. `code` is stable and safe to switch on."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None


class Readiness(BaseModel):
    """Whether the process can do its work, and what keeps it from it."""

    ready: bool
    checks: dict[str, str]


def operation_id(route: APIRoute) -> str:
    """`orders_place_order`: the first tag and the function's name."""
    tag = str(route.tags[0]) if route.tags else "service"
    return f"{tag}_{route.name}"


def create_app(
    name: str,
    routers: Sequence[APIRouter],
    checks: Callable[[], Awaitable[dict[str, str]]],
    **kwargs: Any,
) -> FastAPI:
    """A service's application. `checks` returns what is wrong by name; empty means ready."""
    app = FastAPI(
        title=f"Cartwright {name}",
        version="1",
        generate_unique_id_function=operation_id,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": ProblemView, "description": "A problem document"}},
        **kwargs,
    )
    problems.install(app)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> Readiness:
        wrong = await checks()
        response.status_code = 503 if wrong else 200
        return Readiness(ready=not wrong, checks=wrong)

    for router in routers:
        app.include_router(router)
    return app
