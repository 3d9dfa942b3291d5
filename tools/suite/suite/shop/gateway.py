"""Asking the suite through its gateway, as somebody: patient with limits, clear about refusals."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

import httpx

from suite.refusals import Refusal

Found = TypeVar("Found")
Item = TypeVar("Item")

PATIENCE = 60.0
AT_ONCE = 4
NOT_NOW = {429, 502, 503, 504}
PAGE = 100


class ShopRefused(Refusal):
    """The shop answered a request of the sample with a refusal."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        try:
            self.problem: dict[str, Any] = answer.json()
        except ValueError:
            self.problem = {}
        asked = f"{answer.request.method} {answer.request.url.path}"
        code = self.problem.get("code", "no code")
        super().__init__(f"{asked} was answered with {self.status} {code}: {answer.text[:500]}")


class NeverHappened(Refusal):
    """Something the sample waited for did not come."""


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
        """Ask, again while the suite says "not now"; raises ShopRefused on any other refusal."""
        sent = {**self.headers, **(headers or {})}

        async def answered() -> httpx.Response | None:
            try:
                answer = await self.http.request(method, path, headers=sent, **request)
            except httpx.TransportError as error:
                raise NeverHappened(f"{method} {path}: no answer ({error!r})") from None
            if answer.status_code in NOT_NOW:
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
        """POST a body; the same body twice has one effect where the route takes a key."""
        text = json.dumps(body, sort_keys=True)
        key = hashlib.sha256(f"{path} {text}".encode()).hexdigest()
        sent = {"Idempotency-Key": f"sample-{key}", "Content-Type": "application/json", **headers}
        answer = await self.request("POST", path, content=text, headers=sent)
        return answer.json() if answer.content else None

    async def pages(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Every row of a list that comes in pages."""
        query["limit"] = PAGE
        while True:
            page = await self.get(path, **query)
            for row in page["items"]:
                yield row
            if page.get("next_cursor") is None:
                return
            query["cursor"] = page["next_cursor"]


def _pause(answer: httpx.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), 10.0) if told.isdigit() else 0.5


async def until(what: str, condition: Callable[[], Awaitable[Found | None]]) -> Found:
    """Ask again and again until a condition gives something; raises NeverHappened otherwise."""
    try:
        async with asyncio.timeout(PATIENCE):
            while (found := await condition()) is None:  # noqa: ASYNC110  (the shop tells nobody)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise NeverHappened(f"{what}: not within {PATIENCE:.0f} s") from None
    return found


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[Any]]) -> list[Any]:
    """Do work for every item, a few at once; the results in the order of the items."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Any:
        async with turns:
            return await work(item)

    return await together(*(one(item) for item in items))


async def together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of this at once; of several failures the first is raised, by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
