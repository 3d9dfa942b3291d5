"""A client of the admin API, through the gateway and with the operator's login."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import httpx

from cartwright import session
from cartwright.refusals import Refusal

SERVICES = (
    # [template]
    # {% for each in services %}
    # "[[ each.name ]]",
    # {% endfor %}
    # [rendered]
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
    # [end]
)
# Registers a function to run when the command ends; cli.py sets it for each command.
ON_CLOSE: ContextVar[Callable[[Callable[[], None]], Any]] = ContextVar(
    "on_close", default=lambda _close: None
)
PAGE_SIZE = 100
TRIES = 4
LONGEST_PAUSE = 5.0
RETRIED = {429, 503}


class Unavailable(Refusal):
    """One service does not answer; others may."""


class AdminApi:
    """The admin API with the operator's token; an error response is raised as Refusal."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            timeout=session.TIME_LIMIT,
            headers={"Authorization": f"Bearer {token}"},
        )

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, retried on 429 and 503; raises Refusal with the problem's detail."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self.http.request(method, path, **request)
            except httpx.HTTPError as error:
                raise Unavailable(
                    f"{self.url} does not answer ({error}); is the suite up?"
                ) from None
            if answer.status_code not in RETRIED or attempt == TRIES:
                break
            time.sleep(_pause(answer))
        if answer.status_code in {502, 503, 504}:
            raise Unavailable(f"{path}: {session.problem_of(answer)}")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Refusal(f"{session.problem_of(answer)}: {session.LOGIN_HINT}")
        if answer.is_error:
            raise Refusal(session.problem_of(answer))
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """GET the JSON of a path; parameters that are None are omitted."""
        parameters = {name: value for name, value in query.items() if value is not None}
        return self.request("GET", path, params=parameters).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST with an idempotency key, so that a retry has no second effect."""
        given = {name: value for name, value in body.items() if value is not None}
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answer = self.request("POST", path, json=given, headers=headers)
        return answer.json() if answer.content else None

    def pages(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Any]:
        """Yield the rows of a paged list, all or the first `limit`."""
        yielded = 0
        while True:
            page = self.get(path, limit=min(PAGE_SIZE, limit or PAGE_SIZE), **query)
            for row in page["items"]:
                if limit is not None and yielded >= limit:
                    return
                yielded += 1
                yield row
            query["cursor"] = page.get("next_cursor")
            if query["cursor"] is None:
                return


def connect() -> AdminApi:
    """Return the API as the logged-in operator; its client closes with the command."""
    login = session.current()
    api = AdminApi(login.url, login.access_token)
    ON_CLOSE.get()(api.http.close)
    return api


def _pause(answer: httpx.Response) -> float:
    retry_after = answer.headers.get("Retry-After", "")
    return min(float(retry_after), LONGEST_PAUSE) if retry_after.isdigit() else 0.5
