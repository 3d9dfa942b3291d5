"""Answers that go wrong after the charge was made, as the token asked for."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox_provider.problems import problem
from sandbox_provider.settings import Settings
from sandbox_provider.switches import FakeHttp

_TRANSPORT: Final = "sandbox_provider.transport"


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lets a response close the connection unanswered."""

    def on_message_begin(self) -> None:
        """Leave the transport where a response finds it."""
        super().on_message_begin()
        self.scope["state"][_TRANSPORT] = self.transport


class DroppedConnection(Response):
    """No answer: the connection is closed under the client's feet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close, and wait until the server knows."""
        scope["state"][_TRANSPORT].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def answer(how: FakeHttp, request: Request, fine: Response, settings: Settings) -> Response:
    """The response to send first; the repeat of a request never comes here."""
    match how:
        case FakeHttp.PROMPT:
            pass
        case FakeHttp.SLOW:
            await asyncio.sleep(settings.slow_seconds)
        case FakeHttp.HANG:
            await _until_gone(request, settings.hang_seconds)
        case FakeHttp.ERROR:
            return problem(500, "internal_error", "Something went wrong on our side.")
        case FakeHttp.DROP:
            return DroppedConnection()
    return fine


async def _until_gone(request: Request, at_most: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most):
            while (await request.receive())["type"] != "http.disconnect":
                pass
