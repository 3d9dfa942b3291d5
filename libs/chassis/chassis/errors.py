"""Refusals over HTTP: exceptions that become problem documents (RFC 9457).

A message handler refuses with an answer; an exception there means a fault.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
DECLARED = "__refuses__"


class Problem(Exception):
    """A request that cannot be served; the docstring's first line is the default detail.

    code: stable, for programs.
    extra: members added to the document; never the client's input.
    headers: added to the response, such as `Retry-After`.
    """

    status = 500
    code = "internal_error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n")[0]
        self.code = code or type(self).code
        self.headers = headers or {}
        self.extra = extra
        super().__init__(self.detail)


class Malformed(Problem):
    """The request cannot be understood."""

    status = 400
    code = "malformed_request"


class Unauthenticated(Problem):
    """Sign in first."""

    status = 401
    code = "unauthenticated"


class Forbidden(Problem):
    """You may not do this."""

    status = 403
    code = "forbidden"


class NotFound(Problem):
    """There is no such thing, or it is not yours."""

    status = 404
    code = "not_found"


class Refused(Problem):
    """The resource's state does not allow this."""

    status = 409
    code = "conflict"


class Gone(Problem):
    """This existed once, and exists no longer."""

    status = 410
    code = "gone"


class Changed(Problem):
    """The resource changed since you read it; read it again."""

    status = 412
    code = "precondition_failed"


class TooLarge(Problem):
    """The request body is larger than this service accepts."""

    status = 413
    code = "body_too_large"


class WrongContentType(Problem):
    """Send the body as application/json."""

    status = 415
    code = "unsupported_media_type"


class Invalid(Problem):
    """The request is well formed but breaks a rule."""

    status = 422
    code = "invalid_request"


class IfMatchMissing(Problem):
    """Send If-Match with the ETag of the version you read."""

    status = 428
    code = "precondition_required"


class Unavailable(Problem):
    """Something that this request depends on is unavailable; try again soon."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        headers = {"Retry-After": "2", **extra.pop("headers", {})}
        super().__init__(detail, headers=headers, **extra)


Declarable = type[Problem] | Problem


def refuses(*problems: Declarable) -> Callable[[Function], Function]:
    """Declare the refusals of a route or of a dependency, for the API document.

    As classes; as instances where the code is computed, or another service's that is passed on.
    A test that meets an undeclared refusal fails.
    """

    def declare(function: Function) -> Function:
        setattr(function, DECLARED, problems)
        return function

    return declare


def declared_by(function: Callable[..., Any]) -> tuple[Declarable, ...]:
    """The refusals that a route or a dependency itself declares."""
    found: tuple[Declarable, ...] = getattr(function, DECLARED, ())
    return found
