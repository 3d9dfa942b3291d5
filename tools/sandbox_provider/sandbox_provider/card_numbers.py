"""The guard that refuses card numbers, and any body larger than a valid request."""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.card_numbers import contains_card_number
from sandbox_provider.problems import problem

_LONGEST_BODY: Final = 65_536
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
# A whole UUID without hyphens is no card number, though its digits may look like one.
_HEX_ID: Final = re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{32}\b", re.IGNORECASE)


def body_contains_card_number(body: bytes) -> bool:
    """Whether a JSON body contains a card number, escaped or not."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), body.decode(errors="replace"))
    return contains_card_number(_HEX_ID.sub("#", text))


class CardNumberGuard:
    """Checks each body before the application receives it; a refused body is never logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the body or pass it on."""
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > _LONGEST_BODY:
                refusal = problem(413, "body_too_large", f"At most {_LONGEST_BODY} bytes.")
                await refusal(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        if body_contains_card_number(bytes(body)):
            refusal = problem(400, "card_number", "Card numbers are never accepted: use a token.")
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
