"""One response for each Idempotency-Key, stored for good: a repeat gets it again."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import driver
from chassis.driver import Sql
from sandbox_provider.database import idempotency_keys as keys
from sandbox_provider.problems import KeyReused

CLAIM = Sql(
    "insert into idempotency_keys (key, fingerprint, status, body) "
    "values (:key, :fingerprint, :status, :body) on conflict do nothing returning key"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP status and JSON body of a response."""

    status: int
    body: str
    replayed: bool = False

    def response(self) -> Response:
        """The HTTP response."""
        kind = (
            "application/json"
            if self.status < HTTPStatus.BAD_REQUEST
            else "application/problem+json"
        )
        replayed = {"Idempotent-Replayed": "true"} if self.replayed else None
        return Response(self.body, self.status, replayed, kind)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request identified by its key; another one under that key has another fingerprint."""

    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, key: str, path: str, body: str) -> "KeyedRequest":
        """The request with this path and body."""
        return cls(key, hashlib.sha256(f"{path}\n{body}".encode()).digest())


async def claim(
    connection: AsyncSession, request: KeyedRequest, answer: Answer | None = None
) -> Answer | None:
    """Claim the key and return None, or return the response stored under it.

    The insert blocks until a concurrent transaction with the same key ends.
    """
    values = {
        "key": request.key,
        "fingerprint": request.fingerprint,
        "status": answer.status if answer else None,
        "body": answer.body if answer else None,
    }
    if await driver.fetchrow(connection, CLAIM, values):
        return None
    stored = (await connection.execute(select(keys).where(keys.c.key == request.key))).one()
    if stored.fingerprint != request.fingerprint:
        raise KeyReused("idempotency_key_reused", "The key was used for another request before.")
    return Answer(stored.status, stored.body, replayed=True)


async def settle(connection: AsyncSession, request: KeyedRequest, answer: Answer) -> None:
    """Store the response of a claimed key, in the transaction of its request."""
    query = update(keys).where(keys.c.key == request.key)
    await connection.execute(query.values(status=answer.status, body=answer.body))
