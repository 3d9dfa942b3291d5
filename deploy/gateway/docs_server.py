"""Serves the API reference: one page over all services, their documents and all its assets."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import events_page
import httpx
import uvicorn
from openapi import Document, merged, public
from settings import load
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).with_name("docs")
# Its files alone are wanted: importing it would load FastAPI, which the image does not even hold.
SWAGGER = Path(str(getattr(find_spec("fastapi_swagger"), "origin", None))).with_name("resources")
ASSETS = {
    "docs.css": (PAGE / "docs.css", "text/css"),
    "docs.js": (PAGE / "docs.js", "text/javascript"),
    "events.js": (PAGE / "events.js", "text/javascript"),
    "swagger-ui.css": (SWAGGER / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (SWAGGER / "swagger-ui-bundle.js", "text/javascript"),
    "favicon.png": (SWAGGER / "favicon-32x32.png", "image/png"),
}

# Only what this server itself sends may run, and the page may only call the gateway it came from.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FRESH_SECONDS = 30.0
AWAY_SECONDS = 3.0


class Documents:
    """The services' OpenAPI documents, cached; an unavailable service is soon queried again."""

    def __init__(self, addresses: dict[str, str]) -> None:
        """Take the base URL of each service, in the order in which they are shown."""
        self.addresses = addresses
        self.known: dict[str, Document] = {}
        self.unavailable: list[str] = list(addresses)
        self.fetch_again_at = dict.fromkeys(addresses, 0.0)
        self.fetching = asyncio.Lock()
        # A service builds its document at the first request.
        self.client = httpx.AsyncClient(timeout=httpx.Timeout(20, connect=2))

    async def refresh(self) -> None:
        """Ask every service whose answer is old; the last good answer outlives its service."""
        async with self.fetching:
            due = [name for name, at in self.fetch_again_at.items() if at <= time.monotonic()]
            await asyncio.gather(*(self._ask(name) for name in due))
            self.unavailable = [name for name in self.addresses if name not in self.known]

    async def _ask(self, service: str) -> None:
        try:
            answer = await self.client.get(f"{self.addresses[service]}/openapi.json")
            self.known[service] = public(answer.raise_for_status().json())
            wait_limit = FRESH_SECONDS
        except (httpx.HTTPError, ValueError):
            wait_limit = AWAY_SECONDS
        self.fetch_again_at[service] = time.monotonic() + wait_limit

    def whole(self) -> Document:
        """Merge all that is known, in the order of the services."""
        known = {name: self.known[name] for name in self.addresses if name in self.known}
        return merged(known, self.unavailable)


def create_app(addresses: dict[str, str]) -> Starlette:
    """Build the application for services at these base URLs."""
    documents = Documents(addresses)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with documents.client:
            yield

    async def page(_: Request) -> Response:
        options = "".join(f'<option value="{name}">{name}</option>' for name in addresses)
        html = (PAGE / "index.html").read_text().replace("<!-- services -->", options)
        return Response(html, media_type="text/html", headers=PAGE_HEADERS)

    async def whole(_: Request) -> Response:
        await documents.refresh()
        return JSONResponse(documents.whole(), headers={"Cache-Control": "no-cache"})

    async def one(request: Request) -> Response:
        service = request.path_params["service"]
        if service not in addresses:
            return problem(404, "not_found", "Not found", "There is no such service.")
        await documents.refresh()
        if service not in documents.known:
            return problem(
                503, "unavailable", "Unavailable", "The service is unavailable; try again."
            )
        return JSONResponse(documents.known[service], headers={"Cache-Control": "no-cache"})

    return Starlette(
        routes=[
            Route("/docs", page),
            Route("/docs/events", events),
            Route("/docs/asyncapi.json", asyncapi),
            Route("/docs/openapi.json", whole),
            Route("/docs/openapi/{service}.json", one),
            Route("/docs/assets/{name}", asset),
            Route("/livez", alive),
            Route("/readyz", alive),
        ],
        lifespan=lifespan,
    )


async def events(_: Request) -> Response:
    """Show the catalogue of messages."""
    html = events_page.page((PAGE / "events.html").read_text())
    return Response(html, media_type="text/html", headers=PAGE_HEADERS)


async def asyncapi(_: Request) -> Response:
    """Give the AsyncAPI document as it is tracked."""
    return Response(events_page.DOCUMENT.read_bytes(), media_type="application/json")


async def asset(request: Request) -> Response:
    """Give one of the files the pages are made of."""
    if not (found := ASSETS.get(request.path_params["name"])):
        return problem(404, "not_found", "Not found", "There is no such file.")
    path, media_type = found
    headers = PAGE_HEADERS | {"Cache-Control": "public, max-age=600"}
    return Response(path.read_bytes(), media_type=media_type, headers=headers)


async def alive(_: Request) -> Response:
    """Answer as long as the process runs: it depends on no other service."""
    return JSONResponse({"status": "ok"})


def problem(status: int, code: str, title: str, detail: str) -> JSONResponse:
    """Refuse with a problem document, as the services do."""
    document: dict[str, Any] = {"type": f"urn:cartwright:problem:{code}", "title": title}
    document |= {"status": status, "code": code, "detail": detail}
    return JSONResponse(document, status, media_type="application/problem+json")


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--env", type=Path, required=True, help="the gateway's settings, JSON")
    arguments = parser.parse_args()

    settings = load(arguments.env)
    hosts = settings.get("hosts", {})
    addresses = {
        name: f"http://{hosts.get(name, '127.0.0.1')}:{port if isinstance(port, int) else port[0]}"
        for name, port in settings["services"].items()
    }
    app = create_app(addresses)
    uvicorn.run(app, host=arguments.host, port=arguments.port, access_log=False)


if __name__ == "__main__":
    main()
