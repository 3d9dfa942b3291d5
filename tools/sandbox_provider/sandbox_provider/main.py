"""Composition: settings in, application out; health probes and tracing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from opentelemetry.trace import SpanKind
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, instrumentation, tracing
from chassis.driver_errors import DATABASE_ERRORS, ErrorKind, classify
from sandbox_provider.api import charges, ledger, pay_page, payment_methods
from sandbox_provider.card_numbers import CardNumberGuard
from sandbox_provider.database import connect, make_tables
from sandbox_provider.delivery import Deliverer
from sandbox_provider.problems import Problem, problem
from sandbox_provider.provider import CurrentProvider, Provider
from sandbox_provider.settings import Settings

_CODES: Final = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}

ROUTERS: Final = (
    charges.router,
    charges.transfers_router,
    payment_methods.router,
    ledger.router,
    pay_page.router,
)
probes = APIRouter(include_in_schema=False)


def create_app(settings: Settings) -> FastAPI:
    """Build the application; it makes its tables when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = connect(settings.database_url)
        await make_tables(settings.database_url)
        deliverer = Deliverer(
            database,
            url=str(settings.webhook_url),
            keys=settings.signing_keys,
            retry_seconds=settings.webhook_retry_seconds,
        )
        app.state.provider = Provider(settings, database, deliverer)
        delivering = asyncio.create_task(deliverer.run())
        yield
        delivering.cancel()
        with suppress(asyncio.CancelledError):
            await delivering
        await database.close()

    app = FastAPI(title="Sandbox payment provider", lifespan=lifespan)
    for router in (*ROUTERS, probes):
        app.include_router(router)
    app.add_middleware(CardNumberGuard)
    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    for kind in (*DATABASE_ERRORS, OSError, PoolTimeout):
        app.exception_handler(kind)(_database_unavailable)
    return app


async def _problem(_: Request, error: Problem) -> Response:
    return problem(error.status, error.code, error.detail)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    if any(found["loc"][0] == "path" for found in error.errors()):
        return problem(404, "not_found", "There is no such resource.")
    errors = [
        {"field": ".".join(map(str, found["loc"])), "message": found["msg"]}
        for found in error.errors()
    ]
    return problem(400, "invalid_request", "The request is not well formed.", errors=errors)


async def _http(_: Request, error: HTTPException) -> Response:
    code = _CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, "The request cannot be served as it is.")


async def _database_unavailable(_: Request, error: Exception) -> Response:
    if classify(error) is ErrorKind.FAULT:
        raise error
    return problem(503, "unavailable", "Try again in a moment, with the same key.")


@probes.get("/livez")
async def livez() -> dict[str, str]:
    """Respond while the process serves requests."""
    return {"status": "ok"}


@probes.get("/readyz")
async def readyz(provider: CurrentProvider) -> dict[str, str]:
    """Respond while the database does."""
    async with provider.database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
    return {"status": "ok"}


class Traced:
    """The application with a context and a span for each request, in the caller's trace."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = context.remote_span(Headers(scope=scope).get(context.TRACEPARENT))
        span = tracing.start(scope["method"], SpanKind.SERVER, parent)
        work = context.Context(actor="client", span=span)
        began, status = time.perf_counter(), 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with context.use_context(work):
            try:
                await self.app(scope, receive, send_and_note_status)
            finally:
                instrumentation.request(scope, status, time.perf_counter() - began)
