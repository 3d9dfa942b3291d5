"""Continues the trace of who asks, as a provider may; its webhooks then belong to it as well."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, instrumentation


class Traced:
    """The application, each request of it in a context and a span of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent")
        work = context.Context(actor="client", traceparent=context.child_of(parent))
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with context.use_context(work):
            try:
                await self.app(scope, receive, noted)
            finally:
                instrumentation.request(scope, parent, status, time.perf_counter() - began)
