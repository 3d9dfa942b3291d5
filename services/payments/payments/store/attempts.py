"""What was asked of a provider, by its idempotency key."""

import json
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from payments.domain.attempt import AttemptKind

ATTEMPT: Final = text(
    "insert into payment_attempts (idempotency_key, payment_id, kind, request, state) "
    "values (:key, :payment_id, :kind, cast(:request as jsonb), 'started') "
    "on conflict (idempotency_key) do update set updated_at = now()"
)
FINISH_ATTEMPT: Final = text(
    "update payment_attempts set state = 'finished', request = request - 'token', "
    "updated_at = now() where idempotency_key = :key and state = 'started' returning 1"
)
FORGET_TOKEN: Final = text(
    "update payment_attempts set request = request - 'token' where idempotency_key = :key"
)
REQUEST_OF: Final = text("select request from payment_attempts where idempotency_key = :key")


async def start_attempt(
    tx: AsyncSession, payment_id: UUID, kind: AttemptKind, key: str, request: dict[str, Any]
) -> None:
    """Write down what is about to be asked; a repeat finds it there."""
    values = {"key": key, "payment_id": payment_id, "kind": kind, "request": json.dumps(request)}
    await tx.execute(ATTEMPT, values)


async def finish_attempt(tx: AsyncSession, key: str) -> bool:
    """Close an attempt whose outcome came in another way; False when it was closed before."""
    return (await tx.execute(FINISH_ATTEMPT, {"key": key})).first() is not None


async def forget_token(tx: AsyncSession, key: str) -> None:
    """Keep a customer's token no longer than it is needed."""
    await tx.execute(FORGET_TOKEN, {"key": key})


async def find_request(tx: AsyncSession, key: str) -> dict[str, Any] | None:
    """What was asked under a key."""
    found: dict[str, Any] | None = (await tx.execute(REQUEST_OF, {"key": key})).scalar_one_or_none()
    return found
