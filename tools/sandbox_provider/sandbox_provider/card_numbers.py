"""The guard that lets no card number in, and no body larger than any honest request."""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox_provider.problems import problem

_LONGEST_BODY: Final = 65_536
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){12,}")
# Random identifiers now and then look like a card number; as a whole they cannot be one.
_IDENTIFIER: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b(?=[0-9]*[a-f])[0-9a-f]{32}\b",
    re.IGNORECASE,
)
_SHORTEST_NUMBER, _LONGEST_NUMBER = 13, 19


def holds_card_number(body: bytes) -> bool:
    """Whether 13 to 19 digits with a right check digit stand anywhere, grouped or not."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), body.decode(errors="replace"))
    for run in _DIGITS.findall(_IDENTIFIER.sub(".", text)):
        digits = [int(character) for character in run if character not in " -"]
        if len(digits) <= _LONGEST_NUMBER:
            if _checks(digits):
                return True
        elif any(_checks(part) for part in _parts(digits)):
            return True
    return False


def _parts(digits: list[int]) -> list[list[int]]:
    return [
        digits[start : start + length]
        for length in range(_SHORTEST_NUMBER, _LONGEST_NUMBER + 1)
        for start in range(len(digits) - length + 1)
    ]


def _checks(digits: list[int]) -> bool:
    """The check of Luhn (ISO/IEC 7812-1): every second digit from the right counts twice."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class CardNumberGuard:
    """Reads each body before the application does; what it refuses is never logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the body or hand it on."""
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
        if holds_card_number(bytes(body)):
            refusal = problem(400, "card_number", "Card numbers are never accepted: use a token.")
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
