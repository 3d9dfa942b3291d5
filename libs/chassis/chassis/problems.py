"""Renders refusals as problem documents (RFC 9457): stable code, request id, no input echoed."""

from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from chassis import context
from chassis.driver_errors import as_problem
from chassis.errors import Problem
from chassis.idempotency import Replayed

log = structlog.get_logger()

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid",
    428: "If-Match missing",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


def document(status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """The body of a problem document."""
    return {
        "type": f"urn:cartwright:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": context.current().request_id,
        **extra,
    }


def answer(problem: Problem) -> JSONResponse:
    """The response of a refusal."""
    return JSONResponse(
        document(problem.status, problem.code, problem.detail, **problem.extra),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101
    return answer(error)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Name each broken rule and its place, never the value: input must not be echoed."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()
    unreadable = any(fault["type"] == "json_invalid" for fault in faults)
    pointers = [
        {"pointer": "/" + "/".join(_safe(part) for part in fault["loc"]), "rule": fault["type"]}
        for fault in faults[:50]
    ]
    status, code = (400, "malformed_json") if unreadable else (422, "invalid_request")
    detail = "The body is not JSON." if unreadable else "Some fields break a rule; see errors."
    return JSONResponse(
        document(status, code, detail, errors=pointers),
        status_code=status,
        media_type="application/problem+json",
    )


def _safe(part: str | int) -> str:
    """A location as printable ASCII, since the client chooses the names of unknown fields."""
    return str(part)[:100].encode("ascii", "replace").decode()


async def _replayed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Replayed)  # noqa: S101
    return Response(
        error.answer,
        status_code=error.status,
        media_type="application/json",
        headers={"Idempotency-Replayed": "true"},
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not_found", 405: "method_not_allowed", 400: "malformed_request"}.get(
        error.status_code, f"http_{error.status_code}"
    )
    detail = TITLES.get(error.status_code, "Error") + "."
    return JSONResponse(
        document(error.status_code, code, detail),
        status_code=error.status_code,
        headers=error.headers,
        media_type="application/problem+json",
    )


async def _fault(_request: Request, error: Exception) -> JSONResponse:
    return of_fault(error)


def of_fault(error: BaseException) -> JSONResponse:
    """The response to an unhandled error: 503 during a database outage, else 500 and a log line."""
    unavailable = as_problem(error)
    if unavailable is not None:
        log.warning("database unavailable", error=repr(error)[:200])
        return answer(unavailable)
    log.error("request failed", exc_info=error)
    return answer(Problem("Something went wrong on our side; the request id finds it in our logs."))


def install(app: FastAPI) -> None:
    """Register handlers that render every exception of a route as a problem document."""
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Replayed, _replayed)
    app.add_exception_handler(Exception, _fault)
