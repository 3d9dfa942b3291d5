"""Idempotency-Key: a POST that moves money or stock has its effect once, however often it is sent.

The key is claimed in a short transaction of its own (running, with a lease); effect and stored
answer commit together later. An expired lease is taken over with the same resource id, so a repeat
finishes what a crash left; whoever stores an answer first has had the effect, a rival's is undone.
Semantics follow the IETF draft (400 missing, 422 other body, 409 still running).
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, cast
from uuid import UUID

import structlog
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.driver_errors import ErrorKind, classify
from chassis.errors import Invalid, Malformed, Problem, Refused
from chassis.ids import new_id

log = structlog.get_logger()

RETENTION_HOURS = 24
FORM = re.compile(r"[A-Za-z0-9._:+/=-]{1,255}")

CLAIM = text(
    "insert into idempotency_keys "
    "(principal, key, route, body_hash, state, lease_until, resource_id) "
    "values (:principal, :key, :route, :body_hash, 'running', "
    "clock_timestamp() + make_interval(secs => :lease), :resource_id) "
    "on conflict (principal, key) do update set "
    "lease_until = clock_timestamp() + make_interval(secs => :lease) "
    "where idempotency_keys.state = 'running' "
    "and idempotency_keys.lease_until < clock_timestamp() "
    "and idempotency_keys.body_hash = excluded.body_hash "
    "and idempotency_keys.route = excluded.route "
    "returning resource_id"
)
READ = text(
    "select route, body_hash, state, status, answer, resource_id from idempotency_keys "
    "where principal = :principal and key = :key"
)
STORE = text(
    "update idempotency_keys set state = 'done', status = :status, answer = :answer "
    "where principal = :principal and key = :key and state = 'running'"
)
LAPSE = text(
    "update idempotency_keys set lease_until = clock_timestamp() - interval '1 microsecond' "
    "where principal = :principal and key = :key and state = 'running'"
)
FORGET = text(
    "delete from idempotency_keys where principal = :principal and key = :key and state = 'running'"
)
EXPIRE = text(
    "delete from idempotency_keys where ctid = any(array(select ctid from idempotency_keys "
    "where created_at < now() - make_interval(hours => :hours) limit 1000))"
)


class RequestInProgress(Refused):
    """A request with this Idempotency-Key is still being served; ask again in a moment."""

    code = "idempotency_key_running"


class KeyMissing(Malformed):
    """This request needs an Idempotency-Key header."""

    code = "idempotency_key_missing"


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class Replayed(Exception):
    """The request was served before; carries the stored answer out of the route."""

    def __init__(self, status: int, answer: bytes) -> None:
        self.status = status
        self.answer = answer
        super().__init__(status)


@dataclass
class Claim:
    """A key that is ours to serve; `resource_id` is the new id, the same over repeats."""

    principal: str
    key: str
    resource_id: UUID
    stored: bool = False

    async def store(self, tx: AsyncSession, status: int, answer: BaseModel) -> Response:
        """Keep the answer in the transaction of the effect, and send exactly the same bytes.

        Raises RequestInProgress, which rolls the effect back, when the lease expired and another
        request took it.
        """
        body = answer.model_dump_json().encode()
        kept = await tx.execute(
            STORE, {"principal": self.principal, "key": self.key, "status": status, "answer": body}
        )
        if not cast("CursorResult[Any]", kept).rowcount:
            raise RequestInProgress(headers={"Retry-After": "1"})
        self.stored = True
        return Response(body, status_code=status, media_type="application/json")


async def claim(
    database: Database, principal: str, key: str, route: str, body: bytes, lease: float
) -> Claim:
    """Claim a key for `lease` seconds. Raises Replayed, RequestInProgress or KeyReused."""
    wanted = {
        "principal": principal,
        "key": key,
        "route": route,
        "body_hash": hashlib.sha256(body).hexdigest(),
        "lease": lease,
        "resource_id": new_id(),
    }
    resource_id = (await database.execute_once(CLAIM, wanted)).scalar_one_or_none()
    if resource_id is not None:
        return Claim(principal, key, resource_id)
    found = (await database.execute_once(READ, {"principal": principal, "key": key})).one_or_none()
    if found is None:
        # It was let go between the two looks.
        raise RequestInProgress(headers={"Retry-After": "1"})
    if found.route != route or found.body_hash != wanted["body_hash"]:
        raise KeyReused
    if found.state == "running":
        raise RequestInProgress(headers={"Retry-After": "1"})
    raise Replayed(found.status, found.answer)


async def release(database: Database, held: Claim) -> None:
    """Let go of a key whose request was refused: refusals are not stored."""
    await database.execute_once(FORGET, {"principal": held.principal, "key": held.key})


async def lapse(database: Database, held: Claim) -> None:
    """End the lease of a key: the next repeat takes it over, with the same resource id."""
    await database.execute_once(LAPSE, {"principal": held.principal, "key": held.key})


async def expire(database: Database) -> None:
    """Forget keys older than their retention."""
    async with database.transaction() as tx:
        await tx.execute(EXPIRE, {"hours": RETENTION_HOURS})


@asynccontextmanager
async def _release_lease(database: Database, held: Claim) -> AsyncIterator[None]:
    """Free a key whose request left no answer, unless a repeat must come with the same id."""
    try:
        yield
    except Problem as problem:
        # A refusal is known to have had no effect. A part that is away may have had its own
        # under our resource id: a repeat must come with the same.
        refused = problem.status < 500  # noqa: PLR2004
        await (release if refused else lapse)(database, held)
        raise
    except RequestValidationError:
        await release(database, held)
        raise
    except Exception as error:
        # After a fault the lease stays, and a repeat takes it over when it has run out.
        if classify(error) is not ErrorKind.FAULT:
            await _try_to_lapse(database, held)
        raise
    if not held.stored:
        await release(database, held)


async def _try_to_lapse(database: Database, held: Claim) -> None:
    """Let a repeat take the key over as soon as `Retry-After` says, where the database allows."""
    try:
        await lapse(database, held)
    except Exception as error:  # noqa: BLE001
        log.info("the key stays leased", error=repr(error)[:200])


def idempotent(
    principal: Callable[..., Any], revise: Callable[[Request, bytes], bytes] | None = None
) -> Any:
    """A dependency that claims the request's key for the principal another dependency names.

    `revise` may complete a stored answer before it is sent again, with what must not be kept.

    `async def place(claim: Annotated[Claim, idempotent(whoever)], tx: Tx)`; the route ends with
    `return await claim.store(tx, 202, view)`.
    """

    async def hold(
        request: Request,
        who: Annotated[str, Depends(principal)],
        key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                description="Any unique text; repeat the request with the same key to be safe",
                json_schema_extra={"x-needed": True},
            ),
        ] = None,
    ) -> AsyncIterator[Claim]:
        if key is None:
            raise KeyMissing
        if not FORM.fullmatch(key):
            raise Malformed(
                "Idempotency-Key must be 1 to 255 letters, digits or ._:+/=- characters.",
                code="bad_idempotency_key",
            )
        database: Database = request.app.state.database
        route = f"{request.method} {request.scope['path']}"
        try:
            lease = request.app.state.settings.idempotency_lease
            held = await claim(database, who, key, route, await request.body(), lease)
        except Replayed as replayed:
            if revise is not None:
                replayed.answer = revise(request, bytes(replayed.answer))
            raise
        async with _release_lease(database, held):
            yield held

    return Depends(hold, scope="function")
