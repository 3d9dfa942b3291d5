"""Responses that fail after the charge was made, as the token requests."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox_provider.problems import problem
from sandbox_provider.settings import Settings
from sandbox_provider.switches import ResponseFault

_TRANSPORT: Final = "sandbox_provider.transport"


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lets a response close the connection without an answer."""

    def on_message_begin(self) -> None:
        """Store the transport where a response finds it."""
        super().on_message_begin()
        self.scope["state"][_TRANSPORT] = self.transport


class DroppedConnection(Response):
    """Closes the connection instead of responding."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close, and wait until the server notices."""
        scope["state"][_TRANSPORT].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def respond(
    fault: ResponseFault, request: Request, response: Response, settings: Settings
) -> Response:
    """The first response to a request; a repeat gets the stored one."""
    match fault:
        case ResponseFault.PROMPT:
            pass
        case ResponseFault.SLOW:
            await asyncio.sleep(settings.slow_seconds)
        case ResponseFault.HANG:
            await _wait_for_disconnect(request, settings.hang_seconds)
        case ResponseFault.ERROR:
            return problem(500, "internal_error", "Something went wrong on our side.")
        case ResponseFault.DROP:
            return DroppedConnection()
    return response


async def _wait_for_disconnect(request: Request, at_most: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most):
            while (await request.receive())["type"] != "http.disconnect":
                pass
