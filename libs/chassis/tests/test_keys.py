"""Which tokens the key set believes, and what it does while identity is unavailable."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
import pytest_asyncio
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from chassis.errors import Unauthenticated, Unavailable
from chassis.keys import KEYS_EXPIRE_AFTER, MAX_LIFETIME, REFRESH_AFTER, KeySet

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("old", "new")}


def token(key: str = "old", **claims: Any) -> str:
    now = int(time.time())
    made = {
        "iss": "cartwright", "aud": "cartwright", "iat": now, "exp": now + MAX_LIFETIME,
        "typ": "access", "sub": "ada", **claims,
    }  # fmt: skip
    return jwt.encode(made, KEYS[key], algorithm="ES256", headers={"kid": key})


@dataclass
class Identity:
    """Shows the keys that are `valid`; answers nothing while frozen."""

    url: str = ""
    valid: set[str] = field(default_factory=lambda: {"old"})
    requests: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    requested: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.get("/jwks")
        async def keys() -> JSONResponse:
            self.requests += 1
            self.requested.set()
            await self.answering.wait()
            algorithm = jwt.algorithms.ECAlgorithm
            shown = [
                {**algorithm.to_jwk(KEYS[name].public_key(), as_dict=True), "kid": name}
                for name in sorted(self.valid)
            ]
            return JSONResponse({"keys": shown})

        return app


@pytest_asyncio.fixture
async def identity() -> AsyncIterator[Identity]:
    made = Identity()
    made.answering.set()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.url = f"http://127.0.0.1:{listening.getsockname()[1]}/jwks"
        config = uvicorn.Config(made.application(), log_level="error", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield made
        made.answering.set()
        server.should_exit = True
        await serving


@pytest.fixture
def keys(identity: Identity) -> KeySet:
    return KeySet(identity.url, "cartwright", "cartwright")


def age(keys: KeySet, seconds: float) -> None:
    """Let time pass since the keys were fetched."""
    keys._fetched_at -= seconds


async def refreshed(keys: KeySet) -> None:
    """Wait for the refresh in the background."""
    if keys._fetching._task is not None:
        await keys._fetching._task


async def refusal(keys: KeySet, text: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await keys.claims(text, "access")
    return refused.value.code


async def test_a_token_verified_before_is_refused_once_its_key_was_withdrawn(
    identity: Identity, keys: KeySet
) -> None:
    text = token()
    for _ in range(2):
        assert (await keys.claims(text, "access"))["sub"] == "ada"
    identity.valid = {"new"}
    age(keys, REFRESH_AFTER + 1)
    await keys.claims(text, "access")
    await refreshed(keys)
    assert await refusal(keys, text) == "bad_token"
    assert (await keys.claims(token("new"), "access"))["sub"] == "ada"


@pytest.mark.parametrize(
    ("issued", "expires"),
    [(0, MAX_LIFETIME + 1), (-86_400, MAX_LIFETIME), (3600, 3700), (0, 10**18), (-1e9, 60)],
)
async def test_a_token_that_lives_longer_than_any_may_is_refused(
    keys: KeySet, issued: float, expires: float
) -> None:
    now = int(time.time())
    assert await refusal(keys, token(iat=now + issued, exp=now + expires)) == "bad_token"


async def test_a_time_that_is_text_is_refused(keys: KeySet) -> None:
    assert await refusal(keys, token(iat=str(int(time.time())))) == "bad_token"


async def test_an_expired_token_is_refused_though_it_was_verified_before(keys: KeySet) -> None:
    text = token()
    claims = await keys.claims(text, "access")
    claims["exp"] = time.time() - 60
    assert await refusal(keys, text) == "token_expired"


async def test_a_token_of_another_kind_is_refused(keys: KeySet) -> None:
    assert await refusal(keys, token(typ="service")) == "bad_token"


async def test_requests_share_one_fetch_and_one_failure_while_identity_is_frozen(
    identity: Identity, keys: KeySet
) -> None:
    identity.answering.clear()
    keys._fetching.time_limit = 0.2
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(keys.claims(token(jti=str(n)), "access") for n in range(50)), return_exceptions=True
        )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert identity.requests == 1

    keys._fetching.time_limit = 60
    with pytest.raises(Unavailable):
        await asyncio.wait_for(keys.claims(token(), "access"), 5)
    assert identity.requests == 1

    identity.answering.set()
    keys._fetching._paused_until = 0
    assert (await keys.claims(token(), "access"))["sub"] == "ada"


async def test_cached_keys_are_used_without_waiting_while_identity_is_frozen(
    identity: Identity, keys: KeySet
) -> None:
    await keys.claims(token(), "access")
    identity.answering.clear()
    identity.requested.clear()
    age(keys, REFRESH_AFTER + 1)
    async with asyncio.timeout(5):
        for number in range(20):
            await keys.claims(token(jti=str(number)), "access")
        await identity.requested.wait()

    age(keys, KEYS_EXPIRE_AFTER)
    with pytest.raises(Unavailable):
        await keys.claims(token(), "access")


async def test_unknown_keys_do_not_make_identity_answer_for_each(
    identity: Identity, keys: KeySet
) -> None:
    await keys.claims(token(), "access")
    for number in range(20):
        forged = jwt.encode({"n": number}, KEYS["new"], "ES256", headers={"kid": f"k{number}"})
        assert await refusal(keys, forged) == "bad_token"
    assert identity.requests == 1


async def test_a_pinned_key_is_never_requested() -> None:
    keys = KeySet("http://127.0.0.1:9/jwks", "cartwright", "cartwright")
    keys.pin({"old": KEYS["old"].public_key()})
    assert (await keys.claims(token(), "access"))["sub"] == "ada"
