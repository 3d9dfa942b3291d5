"""Calls to other services: a client with a time limit, retries, a circuit breaker and tokens."""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from chassis import context
from chassis.errors import Problem, Unavailable
from chassis.http import Http, Reply, Unreachable
from chassis.single_flight import SingleFlight

log = structlog.get_logger()

ATTEMPTS = 3
BREAK_AFTER = 5
BREAK_FOR = 2.0
CALL_LIMIT = 5.0
TOKEN_LIMIT = 2.0
FAILURE_PAUSE = 1.0
# A token must outlive its way to the peer and a peer's clock that is ahead.
EXPIRY_MARGIN = 10.0


class PeerUnavailable(Unavailable):
    """A service that this request depends on is unavailable; try again soon."""

    code = "dependency_unavailable"


@dataclass
class Breaker:
    """A circuit breaker: opens after BREAK_AFTER consecutive failures, for BREAK_FOR seconds."""

    failures: int = 0
    open_until: float = 0.0

    def check(self, peer: str) -> None:
        """Raise PeerUnavailable while open; afterwards let one call through as a probe."""
        now = time.monotonic()
        if now < self.open_until:
            raise PeerUnavailable(f"{peer} is unavailable; try again soon.")
        if self.failures >= BREAK_AFTER:
            self.open_until = now + CALL_LIMIT

    def record(self, *, failed: bool) -> None:
        """Count an outcome."""
        self.failures = self.failures + 1 if failed else 0
        self.open_until = time.monotonic() + BREAK_FOR if self.failures >= BREAK_AFTER else 0.0


@dataclass
class ServiceTokens:
    """This service's token from identity, renewed in the background at half of its lifetime."""

    identity_url: str
    client_id: str
    secret: str = field(repr=False)
    _token: str = field(default="", repr=False)
    _renew_at: float = 0.0
    _valid_until: float = 0.0
    _fetching: SingleFlight[None] = field(
        default_factory=lambda: SingleFlight(
            "service token", time_limit=TOKEN_LIMIT, pause=FAILURE_PAUSE
        )
    )

    async def get(self, http: Http) -> str:
        """Return a valid token.

        Raises PeerUnavailable within TOKEN_LIMIT seconds when identity issues none.
        """
        now = time.monotonic()
        fetch = partial(self._fetch, http)
        if now >= self._valid_until:
            # Opening the client is slow the first time, and must not count against the time limit.
            http.open()
            try:
                await self._fetching.run(fetch)
            except (Unreachable, ValueError, KeyError, TypeError, TimeoutError):
                raise PeerUnavailable("identity is unavailable; try again soon.") from None
        elif now >= self._renew_at:
            self._fetching.start(fetch)
        return self._token

    async def _fetch(self, http: Http) -> None:
        answer = await http.request(
            "POST",
            f"{self.identity_url}/internal/token",
            body={"client_id": self.client_id, "client_secret": self.secret},
        )
        if not answer.is_success:
            raise Unreachable(f"identity answered with status {answer.status}")
        found = answer.json()
        self._token, lifetime = found["access_token"], float(found["expires_in"])
        now = time.monotonic()
        self._renew_at, self._valid_until = now + lifetime / 2, now + lifetime - EXPIRY_MARGIN


@dataclass
class Peers:
    """Calls to the `/internal` routes of other services."""

    tokens: ServiceTokens
    http: Http = field(default_factory=Http)
    _breakers: dict[str, Breaker] = field(default_factory=dict)

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        caller_token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Call `url` and return its JSON, or None for an empty body.

        The call must be idempotent: it is retried with jitter while the peer is unavailable. A
        refusal (4xx) is raised as the same problem. Raises PeerUnavailable (503) without a response
        within CALL_LIMIT seconds, retries included.
        """
        token = await self.tokens.get(self.http)
        peer = urlsplit(url).netloc
        breaker = self._breakers.setdefault(peer, Breaker())
        breaker.check(peer)
        sent = {
            "authorization": f"Bearer {token}",
            "x-request-id": context.current().request_id or "",
            **({"x-caller-token": caller_token} if caller_token else {}),
            **(headers or {}),
        }
        try:
            async with asyncio.timeout(CALL_LIMIT):
                answer = await self._send(method, url, body, sent)
        except (Unreachable, PeerUnavailable, TimeoutError) as error:
            breaker.record(failed=True)
            log.warning("peer unavailable", url=url, error=repr(error))
            raise PeerUnavailable from None
        breaker.record(failed=False)
        if answer.is_success:
            return answer.json() if answer.content else None
        raise problem_of(answer)

    async def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Reply:
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.05, max=0.5, jitter=0.05),
            retry=retry_if_exception_type((Unreachable, PeerUnavailable)),
            reraise=True,
        ):
            with attempt:
                answer = await self.http.request(method, url, body=body, headers=headers)
                if answer.status >= 500:  # noqa: PLR2004
                    raise PeerUnavailable
                return answer
        raise AssertionError("the last attempt either returned or raised")

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


def problem_of(answer: Reply) -> Problem:
    """A peer's problem document as the problem that our own client receives."""
    try:
        body = answer.json()
        known = {"type", "title", "status", "code", "detail", "request_id"}
        extra = {key: value for key, value in body.items() if key not in known}
        problem = Problem(body["detail"], code=body["code"], **extra)
    except (ValueError, KeyError, TypeError, AttributeError):
        return PeerUnavailable()
    problem.status = answer.status
    return problem
