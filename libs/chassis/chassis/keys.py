"""Identity's public keys, and verification of the tokens that they sign."""

import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jwt
from cachetools import LRUCache

from chassis import clock
from chassis.errors import Unauthenticated, Unavailable
from chassis.single_flight import SingleFlight

ALGORITHMS = ["ES256"]
LEEWAY = 5
REQUIRED = ["exp", "iat", "iss", "aud", "sub", "typ"]
# Seconds between issue and expiry; a token with a longer lifetime is refused.
MAX_LIFETIME = 600
# A withdrawn key is rejected after this many seconds.
REFRESH_AFTER = 60.0
# While identity is unavailable, its last keys are used until every token they signed has expired.
KEYS_EXPIRE_AFTER = REFRESH_AFTER + MAX_LIFETIME
UNKNOWN_KEY_PAUSE = 2.0
FETCH_LIMIT = 2.0
FAILURE_PAUSE = 1.0
VERIFIED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a token, and the key that verified its signature."""

    key_id: str
    key: Any
    claims: dict[str, Any]


class BadToken(Unauthenticated):
    """The access token is not valid."""

    code = "bad_token"


class TokenExpired(Unauthenticated):
    """The access token has expired."""

    code = "token_expired"


class KeySet:
    """Identity's public keys, cached; refreshed in the background, and for an unknown key.

    Identity pins its own keys; a pinned key is never requested.
    """

    def __init__(self, url: str, issuer: str, audience: str) -> None:
        self.url = url
        self.issuer = issuer
        self.audience = audience
        self._keys: dict[str, Any] = {}
        self._pinned: dict[str, Any] = {}
        self._fetched_at = float("-inf")
        self._fetching = SingleFlight[None]("key set", time_limit=FETCH_LIMIT, pause=FAILURE_PAUSE)
        self._verified = LRUCache[str, Verified](VERIFIED_LIMIT)

    def pin(self, keys: dict[str, Any]) -> None:
        """Trust these keys, by key id, without requesting them."""
        self._pinned.update(keys)

    async def claims(self, token: str, typ: str) -> dict[str, Any]:
        """Return the claims of a valid token of this `typ`.

        Raises BadToken or TokenExpired, and Unavailable when the keys are not cached
        and identity does not return them within FETCH_LIMIT seconds.
        """
        try:
            claims = await self._verify(token)
        except jwt.ExpiredSignatureError:
            raise TokenExpired(headers={"WWW-Authenticate": "Bearer"}) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise BadToken(headers={"WWW-Authenticate": "Bearer"}) from None
        if claims["typ"] != typ:
            raise BadToken("The token is of another type.")
        return claims

    async def _verify(self, token: str) -> dict[str, Any]:
        """Return the claims, cached by token for as long as its key is unchanged."""
        known = self._verified.get(token)
        key_id = known.key_id if known else _key_id_of(token)
        key = await self._key(key_id)
        if known is None or known.key is not key:
            known = Verified(key_id, key, self._decode(token, key))
            self._verified[token] = known
        elif known.claims["exp"] + LEEWAY < clock.now():
            raise jwt.ExpiredSignatureError
        return known.claims

    def _decode(self, token: str, key: Any) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=self.issuer,
            audience=self.audience,
            leeway=LEEWAY,
            # PyJWT would compare them with this machine's clock.
            options={
                "require": REQUIRED,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        _check_times(claims, clock.now())
        if claims["exp"] - claims["iat"] > MAX_LIFETIME:
            raise jwt.InvalidTokenError("the lifetime is too long")
        return claims

    async def _key(self, key_id: str) -> Any:
        if key_id in self._pinned:
            return self._pinned[key_id]
        age = time.monotonic() - self._fetched_at
        if age > KEYS_EXPIRE_AFTER or (key_id not in self._keys and age > UNKNOWN_KEY_PAUSE):
            await self._refresh()
        elif age > REFRESH_AFTER:
            self._fetching.start(self._fetch)
        try:
            return self._keys[key_id]
        except KeyError:
            raise jwt.InvalidTokenError("unknown key") from None

    async def _refresh(self) -> None:
        try:
            await self._fetching.run(self._fetch)
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, TimeoutError):
            raise Unavailable("Tokens cannot be verified at present; try again soon.") from None

    async def _fetch(self) -> None:
        async with httpx.AsyncClient(timeout=FETCH_LIMIT, verify=_certificates()) as client:
            answer = await client.get(self.url)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        self._keys = {key.key_id: key.key for key in keys if key.key_id}
        self._fetched_at = time.monotonic()


def _check_times(claims: dict[str, Any], now: float) -> None:
    """Raise for a token that has expired or is not valid yet; claims hold whole seconds."""
    if int(claims["exp"]) + LEEWAY <= now:
        raise jwt.ExpiredSignatureError
    if max(int(claims["iat"]), int(claims.get("nbf", 0))) - LEEWAY > now:
        raise jwt.ImmatureSignatureError


def _key_id_of(token: str) -> str:
    """The id of a token's key. Raises for a token that identity cannot have signed."""
    header = jwt.get_unverified_header(token)
    key_id = header.get("kid")
    if header.get("alg") not in ALGORITHMS or not isinstance(key_id, str):
        raise jwt.InvalidTokenError("not signed by identity")
    return key_id


@cache
def _certificates() -> ssl.SSLContext:
    """The machine's certificates, cached: loading them takes 25 ms."""
    return httpx.create_ssl_context()
