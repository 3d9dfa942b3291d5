"""A client of the gateway that retries on rate limits and unavailable services."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

import httpx

from suite.refusals import Refusal

Found = TypeVar("Found")
Item = TypeVar("Item")
Row = dict[str, Any]

WAIT_LIMIT = 60.0
CONCURRENCY = 4
RETRIED = {429, 502, 503, 504}
PAGE = 100


class ShopRefused(Refusal):
    """The shop answered a request with an error."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        try:
            self.problem: dict[str, Any] = answer.json()
        except ValueError:
            self.problem = {}
        request = f"{answer.request.method} {answer.request.url.path}"
        code = self.problem.get("code", "no code")
        super().__init__(f"{request} was answered with {self.status} {code}: {answer.text[:500]}")


class TimedOut(Refusal):
    """A condition did not hold in time, or the gateway does not answer."""


class Gateway:
    """A client of the gateway, as a guest or as the holder of an access token."""

    def __init__(self, http: httpx.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    @classmethod
    async def logged_in(cls, http: httpx.AsyncClient, email: str, password: str) -> Self:
        """Log in; raises ShopRefused when that fails."""
        body = {"email": email, "password": password}
        answer = await cls(http).post("/v1/auth/login", body)
        return cls(http, answer["access_token"])

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        """Send a request, retried on the statuses RETRIED; raises ShopRefused on other errors."""
        sent = {**self.headers, **(headers or {})}

        async def answered() -> httpx.Response | None:
            try:
                answer = await self.http.request(method, path, headers=sent, **request)
            except httpx.TransportError as error:
                raise TimedOut(f"{method} {path}: no answer ({error!r})") from None
            if answer.status_code in RETRIED:
                await asyncio.sleep(_pause(answer))
                return None
            return answer

        answer = await until(f"{method} {path} is answered", answered)
        if not answer.is_success:
            raise ShopRefused(answer)
        return answer

    async def get(self, path: str, **query: Any) -> Any:
        """GET the JSON of a path."""
        return (await self.request("GET", path, params=query)).json()

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        """POST a body with an idempotency key derived from it: a repetition has no effect."""
        text = json.dumps(body, sort_keys=True)
        key = hashlib.sha256(f"{path} {text}".encode()).hexdigest()
        sent = {"Idempotency-Key": f"sample-{key}", "Content-Type": "application/json", **headers}
        answer = await self.request("POST", path, content=text, headers=sent)
        return answer.json() if answer.content else None

    async def pages(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield every row of a paged list."""
        query["limit"] = PAGE
        while True:
            page = await self.get(path, **query)
            for row in page["items"]:
                yield row
            if page.get("next_cursor") is None:
                return
            query["cursor"] = page["next_cursor"]


async def ensure(
    staff: Gateway, path: str, key: Callable[[Row], Any], rows: Iterable[Row]
) -> dict[Any, str]:
    """Create the rows of a list that it lacks; returns the id of every row by its key."""
    ids = {key(row): row["id"] async for row in staff.pages(path)}
    missing = [row for row in rows if key(row) not in ids]
    made = await each(missing, lambda row: staff.post(path, row))
    return ids | {key(row): answer["id"] for row, answer in zip(missing, made, strict=True)}


def _pause(answer: httpx.Response) -> float:
    retry_after = answer.headers.get("Retry-After", "")
    return min(float(retry_after), 10.0) if retry_after.isdigit() else 0.5


async def until(what: str, condition: Callable[[], Awaitable[Found | None]]) -> Found:
    """Poll a condition until it returns a value; raises TimedOut after WAIT_LIMIT seconds."""
    try:
        async with asyncio.timeout(WAIT_LIMIT):
            # The condition changes in other processes, which set no event here.
            while (found := await condition()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimedOut(f"{what}: not within {WAIT_LIMIT:.0f} s") from None
    return found


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[Any]]) -> list[Any]:
    """Run work for every item, CONCURRENCY at once; returns the results in the items' order."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(item: Item) -> Any:
        async with slots:
            return await work(item)

    return await together(*(one(item) for item in items))


async def together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run coroutines concurrently; raises the first of several failures."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
