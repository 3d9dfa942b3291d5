"""Refusals as problem documents (RFC 9457); none repeats what was sent."""

import json

from starlette.responses import Response

Errors = list[dict[str, str]]


class Problem(Exception):
    """An answer other than success: `status` of HTTP, a stable `code`, a `detail` for people."""

    status = 400

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class NotFound(Problem):
    """There is nothing of that name."""

    status = 404


class Unauthorized(Problem):
    """The caller did not show the API key."""

    status = 401


class KeyReused(Problem):
    """The Idempotency-Key belongs to another request."""

    status = 422


def problem_body(status: int, code: str, detail: str, errors: Errors | None = None) -> str:
    """Write the document."""
    document = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return json.dumps(document | ({"errors": errors} if errors else {}))


def problem(status: int, code: str, detail: str, errors: Errors | None = None) -> Response:
    """Make the document a response."""
    body = problem_body(status, code, detail, errors)
    return Response(body, status, media_type="application/problem+json")
