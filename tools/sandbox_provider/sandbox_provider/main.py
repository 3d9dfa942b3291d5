"""Composition: settings in, application out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chassis.driver_errors import ErrorKind, classify
from sandbox_provider.api import charges, health, ledger, pay_page, payment_methods, transfers
from sandbox_provider.card_numbers import CardNumberGuard
from sandbox_provider.db import connect, make_tables
from sandbox_provider.delivery import Deliverer
from sandbox_provider.problems import Problem, problem
from sandbox_provider.provider import Provider
from sandbox_provider.settings import Settings

_CODES: Final = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}


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
    for module in (charges, payment_methods, ledger, transfers, pay_page, health):
        app.include_router(module.router)
    app.add_middleware(CardNumberGuard)
    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(DBAPIError)(_database_away)
    app.exception_handler(OSError)(_database_away)
    app.exception_handler(PoolTimeout)(_database_away)
    return app


async def _problem(_: Request, error: Problem) -> Response:
    return problem(error.status, error.code, error.detail)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    if any(found["loc"][0] == "path" for found in error.errors()):
        return problem(404, "not_found", "There is nothing of that name.")
    errors = [
        {"field": ".".join(map(str, found["loc"])), "message": found["msg"]}
        for found in error.errors()
    ]
    return problem(400, "invalid_request", "The request is not well formed.", errors=errors)


async def _http(_: Request, error: HTTPException) -> Response:
    code = _CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, "The request cannot be served as it is.")


async def _database_away(_: Request, error: Exception) -> Response:
    if classify(error) is ErrorKind.FAULT:
        raise error
    return problem(503, "unavailable", "Try again in a moment, with the same key.")
