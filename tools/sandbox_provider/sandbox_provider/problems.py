"""Refusals as problem documents (RFC 9457); none echoes the request."""

import json

from starlette.responses import Response

Errors = list[dict[str, str]]


class Problem(Exception):
    """A refusal: its HTTP `status`, a stable `code`, a `detail` for people."""

    status = 400

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class NotFound(Problem):
    """The resource does not exist."""

    status = 404


class Unauthorized(Problem):
    """The API key is missing or wrong."""

    status = 401


class KeyReused(Problem):
    """The Idempotency-Key belongs to another request."""

    status = 422


def problem_body(status: int, code: str, detail: str, errors: Errors | None = None) -> str:
    """The document as JSON."""
    document = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return json.dumps(document | ({"errors": errors} if errors else {}))


def problem(status: int, code: str, detail: str, errors: Errors | None = None) -> Response:
    """The document as a response."""
    body = problem_body(status, code, detail, errors)
    return Response(body, status, media_type="application/problem+json")
