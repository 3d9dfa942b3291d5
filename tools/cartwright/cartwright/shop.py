"""Asking the suite through its gateway, as the person at the keyboard."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import httpx

from cartwright import session
from cartwright.refusals import Refusal

SERVICES = (
    "identity",
    "catalog",
    "cart",
    "promotions",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "notifications",
    "feed",
)
# Registers what has to run when the command ends; cli.py sets it for each command.
ON_CLOSE: ContextVar[Callable[[Callable[[], None]], Any]] = ContextVar(
    "on_close", default=lambda _close: None
)
PAGE = 100
TRIES = 4
LONGEST_PAUSE = 5.0
NOT_NOW = {429, 503}


class Away(Refusal):
    """A service does not answer; others may."""


class Shop:
    """The admin API, with the operator's token; every refusal of the shop is raised as Refusal."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            timeout=session.TIME_LIMIT,
            headers={"Authorization": f"Bearer {token}"},
        )

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask, again while the shop says "not now"; raises Refusal with its words."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self.http.request(method, path, **request)
            except httpx.HTTPError as error:
                raise Away(f"{self.url} does not answer ({error}); is the suite up?") from None
            if answer.status_code not in NOT_NOW or attempt == TRIES:
                break
            time.sleep(_pause(answer))
        if answer.status_code in {502, 503, 504}:
            raise Away(f"{path}: {session.detail_of(answer)}")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Refusal(f"{session.detail_of(answer)}: {session.HOW}")
        if answer.is_error:
            raise Refusal(session.detail_of(answer))
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """GET the JSON of a path; a query of None is left out."""
        wanted = {name: value for name, value in query.items() if value is not None}
        return self.request("GET", path, params=wanted).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST once, whatever happens on the way."""
        given = {name: value for name, value in body.items() if value is not None}
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answer = self.request("POST", path, json=given, headers=headers)
        return answer.json() if answer.content else None

    def pages(self, path: str, most: int | None = None, **query: Any) -> Iterator[Any]:
        """Every row of a list, or the first so many."""
        shown = 0
        while True:
            page = self.get(path, limit=min(PAGE, most or PAGE), **query)
            for row in page["items"]:
                if most is not None and shown >= most:
                    return
                shown += 1
                yield row
            query["cursor"] = page.get("next_cursor")
            if query["cursor"] is None:
                return


def connected() -> Shop:
    """Return the shop as seen by the logged-in person; its client closes with the command."""
    found = session.current()
    shop = Shop(found.url, found.access_token)
    ON_CLOSE.get()(shop.http.close)
    return shop


def _pause(answer: httpx.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), LONGEST_PAUSE) if told.isdigit() else 0.5
