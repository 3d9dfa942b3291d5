"""Adapters of the cryptographic libraries: tokens signed by key, passwords hashed on threads."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.errors import Unavailable
from identity.domain.credentials import ensure_strong
from identity.domain.user import Access

COORDINATE_BYTES = 32
DERIVED_BYTES = 32
SERVICE_TOKEN_SECONDS = 600
MAX_QUEUED = 100

Result = TypeVar("Result")


def derive_key(key: EllipticCurvePrivateKey, purpose: bytes) -> bytes:
    """Derive a symmetric key for one purpose from a signing key (HKDF, RFC 5869)."""
    number = key.private_numbers().private_value.to_bytes(COORDINATE_BYTES, "big")
    return HKDF(SHA256(), DERIVED_BYTES, salt=None, info=purpose).derive(number)


def _coordinate(number: int) -> str:
    raw = number.to_bytes(COORDINATE_BYTES, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class PublicKey:
    """A public key; `id` is its RFC 7638 thumbprint, `document` its entry in the key set."""

    key: EllipticCurvePublicKey
    id: str
    document: dict[str, str]

    @classmethod
    def of(cls, key: EllipticCurvePublicKey) -> "PublicKey":
        """Compute the thumbprint: SHA-256 over the required members in lexicographic order."""
        numbers = key.public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
        }
        digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
        thumbprint = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        document = {**members, "kid": thumbprint, "alg": "ES256", "use": "sig"}
        return cls(key, thumbprint, document)


class Issuer:
    """Signs tokens with the current key; those of the previous key stay valid until they expire."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        access_token_seconds: float,
        current: EllipticCurvePrivateKey,
        previous: EllipticCurvePrivateKey | None = None,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.access_token_seconds = access_token_seconds
        self._current = current
        keys = [current] if previous is None else [current, previous]
        public_keys = [PublicKey.of(key.public_key()) for key in keys]
        # Deployments always configure both files; between rotations both hold the same key.
        self.public_keys = list({key.id: key for key in public_keys}.values())

    def access_token(self, access: Access, now: datetime) -> str:
        """Sign the claims of a user's access, for at most ten minutes."""
        return self._sign(
            now,
            self.access_token_seconds,
            typ="access",
            sub=str(access.user_id),
            cid=str(access.customer_id),
            email=access.email,
            email_verified=access.email_verified,
            roles=access.roles,
            permissions=access.permissions,
            sid=str(access.session_id),
            buys=access.may_buy,
            gen={str(name): number for name, number in access.generations.items()},
        )

    def service_token(self, service: str, now: datetime) -> str:
        """Sign the token of one of our services."""
        return self._sign(now, SERVICE_TOKEN_SECONDS, typ="service", sub=service)

    def _sign(self, now: datetime, seconds: float, **claims: Any) -> str:
        return jwt.encode(
            {
                "iss": self.issuer,
                "aud": self.audience,
                "iat": now,
                "exp": now + timedelta(seconds=seconds),
                **claims,
            },
            self._current,
            algorithm="ES256",
            headers={"kid": self.public_keys[0].id},
        )


class Passwords:
    """Estimates, hashes and verifies passwords on a few threads, to bound memory and CPU.

    `memory_kib` and `iterations` are the costs of one Argon2id hash (RFC 9106).
    """

    def __init__(self, memory_kib: int, iterations: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._argon2 = _BoundedExecutor(os.cpu_count() or 1, "argon2")
        # zxcvbn is Python: further threads would only compete with the event loop for the GIL.
        self._zxcvbn = _BoundedExecutor(1, "zxcvbn")
        # Verified in place of an unknown user's hash, so that it takes as long as a known user's.
        self._unknown_user_hash = self._hasher.hash("no user has this password")

    async def ensure_strong(self, password: str, known: Collection[str]) -> None:
        """Raise PasswordTooShort or PasswordTooCommon; `known` as in the domain's rule."""
        await self._zxcvbn.run(lambda: ensure_strong(password, known))

    async def hash(self, password: str) -> str:
        """Hash a password with a new salt."""
        return await self._argon2.run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password matches the stored hash; None stands for an unknown user."""
        matches = await self._argon2.run(
            lambda: self._verify(stored or self._unknown_user_hash, password)
        )
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other costs than the configured ones."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Shut the threads down."""
        self._argon2.close()
        self._zxcvbn.close()

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


class _BoundedExecutor:
    """A thread pool with a bounded queue."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._queued = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run work on a thread; raises Unavailable at once when the queue is full."""
        if self._queued >= MAX_QUEUED:
            raise Unavailable("Too many passwords are being verified; try again soon.")
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._queued -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
