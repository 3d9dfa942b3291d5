"""Calls to a scripted peer over real connections."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from chassis import client, context
from chassis.client import BREAK_AFTER, Breaker, Peers, PeerUnavailable, ServiceTokens
from chassis.errors import Problem
from testkit.harness import new_traceparent

REFUSAL = {
    "type": "urn:cartwright:problem:total_changed",
    "title": "Conflict",
    "status": 409,
    "code": "total_changed",
    "detail": "The total changed.",
    "request_id": "theirs",
    "total": 5,
}


@dataclass
class Peer:
    """A service and its identity in one. Answers with what is next in `answers`, else with 200."""

    url: str = ""
    expires_in: int = 600
    answers: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    tokens_given: int = 0
    tokens_wanted: int = 0
    answers_again: asyncio.Event = field(default_factory=asyncio.Event)

    def freeze(self) -> None:
        """Take requests and answer none until `answers_again` is set."""
        self.answers_again.clear()

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/token")
        async def token(credentials: dict[str, str]) -> Response:
            if credentials != {"client_id": "cart", "client_secret": "only for tests"}:
                return Response(status_code=401)
            self.tokens_wanted += 1
            await self.answers_again.wait()
            self.tokens_given += 1
            given = {"access_token": f"t{self.tokens_given}", "expires_in": self.expires_in}
            return JSONResponse(given)

        @app.api_route("/ask", methods=["GET", "POST"])
        async def ask(request: Request) -> Response:
            self.requests.append(request)
            await self.answers_again.wait()
            status, body = self.answers.pop(0) if self.answers else (200, {"ok": True})
            return Response(status_code=status) if body is None else JSONResponse(body, status)

        return app


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    peer.answers_again.set()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(peer.application(), log_level="error", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield peer
        peer.answers_again.set()
        server.should_exit = True
        await serving


@pytest_asyncio.fixture
async def peers(peer: Peer) -> AsyncIterator[Peers]:
    peers = Peers(ServiceTokens(peer.url, "cart", "only for tests"))
    yield peers
    await peers.close()


async def test_both_tokens_the_trace_and_the_request_id_go_along(peer: Peer, peers: Peers) -> None:
    trace = new_traceparent()
    work = context.Context(span=context.remote_span(trace), request_id="r1")
    with context.use_context(work):
        answer = await peers.request(
            "POST", f"{peer.url}/ask", body={"a": 1}, caller_token="theirs"
        )

    assert answer == {"ok": True}
    sent = peer.requests[0].headers
    assert sent["authorization"] == "Bearer t1"
    assert sent["x-caller-token"] == "theirs"
    assert sent["x-request-id"] == "r1"
    assert sent["traceparent"] == trace


async def test_one_token_serves_many_questions_until_it_is_about_to_expire(
    peer: Peer, peers: Peers
) -> None:
    await asyncio.gather(*(peers.request("GET", f"{peer.url}/ask") for _ in range(8)))
    assert peer.tokens_given == 1

    peers.tokens._valid_until = time.monotonic() - 1
    peer.expires_in = 9
    await peers.request("GET", f"{peer.url}/ask")
    await peers.request("GET", f"{peer.url}/ask")
    assert peer.tokens_given == 3


async def test_requests_do_not_queue_behind_each_other_while_identity_is_frozen(
    peer: Peer, peers: Peers
) -> None:
    peer.freeze()
    peers.tokens._fetching.time_limit = 0.2
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(peers.request("GET", f"{peer.url}/ask") for _ in range(50)), return_exceptions=True
        )
    assert all(isinstance(answer, PeerUnavailable) for answer in answers)
    assert all(
        answer.headers["Retry-After"] for answer in answers if isinstance(answer, PeerUnavailable)
    )
    assert peer.tokens_wanted == 1

    # The failure is remembered: what comes next does not wait at all.
    peers.tokens._fetching.time_limit = 60
    with pytest.raises(PeerUnavailable):
        await asyncio.wait_for(peers.request("GET", f"{peer.url}/ask"), 5)
    assert peer.tokens_wanted == 1

    peer.answers_again.set()
    peers.tokens._fetching._paused_until = 0
    assert await peers.request("GET", f"{peer.url}/ask") == {"ok": True}


async def test_a_valid_token_is_used_while_identity_is_frozen(peer: Peer, peers: Peers) -> None:
    await peers.request("GET", f"{peer.url}/ask")
    peers.tokens._renew_at = 0
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        peers.tokens.identity_url = f"http://127.0.0.1:{frozen.getsockname()[1]}"
        answer = await asyncio.wait_for(peers.request("GET", f"{peer.url}/ask"), 5)
    assert answer == {"ok": True}
    assert peer.requests[-1].headers["authorization"] == "Bearer t1"


async def test_an_empty_answer_is_none(peer: Peer, peers: Peers) -> None:
    peer.answers = [(204, None)]
    assert await peers.request("POST", f"{peer.url}/ask") is None


async def test_a_failed_call_is_retried(peer: Peer, peers: Peers) -> None:
    peer.answers = [(503, {}), (500, None)]
    assert await peers.request("GET", f"{peer.url}/ask") == {"ok": True}
    assert len(peer.requests) == 3


async def test_a_refusal_is_passed_on_and_not_retried(peer: Peer, peers: Peers) -> None:
    peer.answers = [(409, REFUSAL)]
    with pytest.raises(Problem) as refused:
        await peers.request("POST", f"{peer.url}/ask")

    assert (refused.value.status, refused.value.code) == (409, "total_changed")
    assert refused.value.detail == "The total changed."
    assert refused.value.extra == {"total": 5}
    assert len(peer.requests) == 1


@pytest.mark.parametrize("body", [None, [], {"code": "no detail"}, "text"])
async def test_a_malformed_refusal_counts_as_unavailable(
    peer: Peer, peers: Peers, body: Any
) -> None:
    peer.answers = [(404, body)]
    with pytest.raises(PeerUnavailable):
        await peers.request("GET", f"{peer.url}/ask")


async def test_the_breaker_opens_after_repeated_failures(peer: Peer, peers: Peers) -> None:
    peer.answers = [(500, None)] * 3 * BREAK_AFTER
    for _ in range(BREAK_AFTER):
        with pytest.raises(PeerUnavailable):
            await peers.request("GET", f"{peer.url}/ask")
    calls = len(peer.requests)
    with pytest.raises(PeerUnavailable):
        await peers.request("GET", f"{peer.url}/ask")

    assert calls == len(peer.requests) == 3 * BREAK_AFTER


async def test_a_frozen_peer_costs_a_request_no_more_than_the_limit(
    peer: Peer, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peers.request("GET", f"{peer.url}/ask")
    peer.freeze()
    monkeypatch.setattr(client, "CALL_LIMIT", 0.2)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(peers.request("GET", f"{peer.url}/ask") for _ in range(20)), return_exceptions=True
        )
    assert all(isinstance(answer, PeerUnavailable) for answer in answers)


def test_one_request_probes_a_peer_that_failed_before() -> None:
    breaker = Breaker(BREAK_AFTER, open_until=time.monotonic() - 1)
    breaker.check("peer")
    with pytest.raises(PeerUnavailable):
        breaker.check("peer")
    breaker.record(failed=False)
    breaker.check("peer")


def test_a_success_forgets_failures_and_a_pause_ends() -> None:
    breaker = Breaker()
    for _ in range(BREAK_AFTER - 1):
        breaker.record(failed=True)
    breaker.record(failed=False)
    breaker.record(failed=True)
    breaker.check("peer")
    Breaker(BREAK_AFTER, open_until=time.monotonic() - 1).check("peer")
    with pytest.raises(PeerUnavailable):
        Breaker(BREAK_AFTER, open_until=time.monotonic() + 60).check("peer")


async def test_a_refused_connection_is_an_unavailable_peer(peers: Peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(PeerUnavailable):
        await peers.request("GET", f"{nowhere}/ask")


async def test_without_a_service_token_no_peer_is_called(peer: Peer, peers: Peers) -> None:
    peers.tokens.secret = "another"
    with pytest.raises(PeerUnavailable):
        await peers.request("GET", f"{peer.url}/ask")
    assert peer.requests == []
