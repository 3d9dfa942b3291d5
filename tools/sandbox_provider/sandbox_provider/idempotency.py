"""One answer per Idempotency-Key, for good: a repeat is answered as the first request was."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from sandbox_provider.problems import KeyReused
from sandbox_provider.tables import idempotency_keys as keys

CLAIM = insert(keys).on_conflict_do_nothing().returning(keys.c.key)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the status of HTTP and a JSON body."""

    status: int
    body: str
    replayed: bool = False

    def response(self) -> Response:
        """Make it a response of HTTP."""
        kind = (
            "application/json"
            if self.status < HTTPStatus.BAD_REQUEST
            else "application/problem+json"
        )
        replayed = {"Idempotent-Replayed": "true"} if self.replayed else None
        return Response(self.body, self.status, replayed, kind)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request known again by its key; another one under that key has another fingerprint."""

    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, key: str, path: str, body: str) -> "Keyed":
        """Know the request by its path and its body."""
        return cls(key, hashlib.sha256(f"{path}\n{body}".encode()).digest())


async def claim(
    connection: AsyncSession, request: Keyed, answer: Answer | None = None
) -> Answer | None:
    """Take the key and return None, or return the answer that was given under it before.

    A rival that holds the key is waited for: the insert blocks until its transaction ends.
    """
    values = {
        "key": request.key,
        "fingerprint": request.fingerprint,
        "status": answer.status if answer else None,
        "body": answer.body if answer else None,
    }
    if (await connection.execute(CLAIM, values)).first():
        return None
    stored = (await connection.execute(select(keys).where(keys.c.key == request.key))).one()
    if stored.fingerprint != request.fingerprint:
        raise KeyReused("idempotency_key_reused", "The key was used for another request before.")
    return Answer(stored.status, stored.body, replayed=True)


async def settle(connection: AsyncSession, request: Keyed, answer: Answer) -> None:
    """Store the answer of a claimed key; it commits together with what the request did."""
    query = update(keys).where(keys.c.key == request.key)
    await connection.execute(query.values(status=answer.status, body=answer.body))
