"""The ASGI middleware of every request: request id, trace, body limit and unhandled errors."""

import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, instrumentation, problems, tracing
from chassis.errors import Problem, TooLarge, WrongContentType
from chassis.ids import new_id

log = structlog.get_logger("access")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
WITH_BODY = {"POST", "PUT", "PATCH"}


class RequestMiddleware:
    """Wraps the application; reads at most `max_body_bytes`, whatever Content-Length states.

    is_stopping: whether to close each connection with its response, so that no client sends a
    request on a connection that is being closed.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, is_stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.is_stopping = is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in its own context."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        parent = context.remote_span(headers.get(context.TRACEPARENT))
        work = context.Context(
            actor="guest",
            span=tracing.start(scope["method"], SpanKind.SERVER, parent),
            request_id=given if REQUEST_ID.fullmatch(given) else str(new_id()),
        )
        with context.use_context(work):
            await self._serve(scope, headers, receive, send)

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        began = answered = time.perf_counter()
        status = 0
        request_id = context.current().request_id or ""

        async def stamped(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], time.perf_counter()
                self._stamp(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            has_body = self._check(scope, headers)
            if has_body:
                receive = await self._whole_body(receive)
            await self.app(scope, receive, stamped)
        except Problem as problem:
            if status:
                raise
            await problems.answer(problem)(scope, receive, stamped)
        except Exception as error:
            if 0 < status < 500:  # noqa: PLR2004
                raise
            if status:
                return  # Starlette sent a problem document and raises the error as well.
            await problems.of_fault(error)(scope, receive, stamped)
        finally:
            ended = time.perf_counter()
            instrumentation.request(scope, status, ended - began)
            # A stream is as long as its reader wants, so only the time until it begins counts.
            took = round(((answered if status else ended) - began) * 1000, 1)
            if (status >= 500 or took > 1000) and scope["path"] != "/readyz":  # noqa: PLR2004
                log.warning("slow or failed", path=scope["path"], status=status, took_ms=took)
            else:
                log.debug("served", path=scope["path"], status=status, took_ms=took)

    def _stamp(self, answered: MutableHeaders, request_id: str) -> None:
        """Set the headers of every response."""
        answered["X-Request-Id"] = request_id
        answered["X-Content-Type-Options"] = "nosniff"
        answered.setdefault("Cache-Control", "no-store")
        if self.is_stopping():
            answered["Connection"] = "close"

    async def _whole_body(self, receive: Receive) -> Receive:
        """Read the whole body, up to the limit, and pass it on in one piece."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return receive
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.max_body_bytes:
                raise TooLarge
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        return replay

    def _check(self, scope: Scope, headers: Headers) -> bool:
        """Refuse by the headers alone; returns whether there is a body."""
        length = headers.get("content-length")
        if length is not None and length.isdigit() and int(length) > self.max_body_bytes:
            raise TooLarge
        has_body = (length not in (None, "0")) or "transfer-encoding" in headers
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if scope["method"] in WITH_BODY and has_body and kind != "application/json":
            raise WrongContentType
        return has_body


def wrap(
    app: Any, max_body_bytes: int, is_stopping: Callable[[], bool] = lambda: False
) -> RequestMiddleware:
    """The application with its middleware."""
    return RequestMiddleware(app, max_body_bytes, is_stopping)
