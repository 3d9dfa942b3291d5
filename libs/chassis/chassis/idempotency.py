"""Idempotency-Key: a POST that moves money or stock takes effect once, however often it is sent.

The key is claimed in a short transaction of its own (state `running`, with a lease); the effect and
the stored response commit together later. A repeat takes over an expired lease with the same
resource id, so it finishes what a crash interrupted. The first request to store a response wins;
a rival is rolled back. Semantics follow the IETF draft (400 missing, 422 other body, 409 running).
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import driver
from chassis.db import Database
from chassis.driver import Sql
from chassis.driver_errors import ErrorKind, classify
from chassis.errors import Invalid, Malformed, Problem, Refused, refuses
from chassis.ids import new_id

log = structlog.get_logger()

FORM = re.compile(r"[A-Za-z0-9._:+/=-]{1,255}")

CLAIM = Sql(
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
READ = Sql(
    "select route, body_hash, state, status, answer, resource_id from idempotency_keys "
    "where principal = :principal and key = :key"
)
STORE = Sql(
    "update idempotency_keys set state = 'done', status = :status, answer = :answer "
    "where principal = :principal and key = :key and state = 'running'"
)
EXPIRE_LEASE = Sql(
    "update idempotency_keys set lease_until = clock_timestamp() - interval '1 microsecond' "
    "where principal = :principal and key = :key and state = 'running'"
)
RELEASE = Sql(
    "delete from idempotency_keys where principal = :principal and key = :key and state = 'running'"
)


class RequestInProgress(Refused):
    """A request with this Idempotency-Key is still in progress; try again soon."""

    code = "idempotency_key_running"


class KeyMissing(Malformed):
    """This request needs an Idempotency-Key header."""

    code = "idempotency_key_missing"


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class BadIdempotencyKey(Malformed):
    """Idempotency-Key must be 1 to 255 letters, digits or ._:+/=- characters."""

    code = "bad_idempotency_key"


class Replayed(Exception):
    """The request was served before; carries the stored response out of the route."""

    def __init__(self, status: int, answer: bytes) -> None:
        self.status = status
        self.answer = answer
        super().__init__(status)


@dataclass
class Claim:
    """A claimed key; `resource_id` is the id of the resource to create, the same for repeats."""

    principal: str
    key: str
    resource_id: UUID
    stored: bool = False

    async def store(self, tx: AsyncSession, status: int, answer: BaseModel) -> Response:
        """Store the response in the transaction of the effect, and return exactly these bytes.

        Raises RequestInProgress, which rolls the effect back, when the lease expired and another
        request took it over.
        """
        body = answer.model_dump_json().encode()
        values = {"principal": self.principal, "key": self.key, "status": status, "answer": body}
        if not await driver.execute(tx, STORE, values):
            raise RequestInProgress(headers={"Retry-After": "1"})
        self.stored = True
        return Response(body, status_code=status, media_type="application/json")


async def claim(
    database: Database, principal: str, key: str, route: str, body: bytes, lease: float
) -> Claim:
    """Claim a key for `lease` seconds. Raises Replayed, RequestInProgress or KeyReused."""
    values = {
        "principal": principal,
        "key": key,
        "route": route,
        "body_hash": hashlib.sha256(body).hexdigest(),
        "lease": lease,
        "resource_id": new_id(),
    }
    resource_id = await database.fetchval(CLAIM, values)
    if resource_id is not None:
        return Claim(principal, key, resource_id)
    found = await database.fetchrow(READ, {"principal": principal, "key": key})
    if found is None:
        # It was released between the two statements.
        raise RequestInProgress(headers={"Retry-After": "1"})
    if found.route != route or found.body_hash != values["body_hash"]:
        raise KeyReused
    if found.state == "running":
        raise RequestInProgress(headers={"Retry-After": "1"})
    raise Replayed(found.status, found.answer)


async def release(database: Database, held: Claim) -> None:
    """Release a key whose request was refused: refusals are not stored."""
    await database.execute(RELEASE, {"principal": held.principal, "key": held.key})


async def expire_lease(database: Database, held: Claim) -> None:
    """End the lease of a key, so that the next repeat takes it over with the same resource id."""
    await database.execute(EXPIRE_LEASE, {"principal": held.principal, "key": held.key})


@asynccontextmanager
async def _release_lease(database: Database, held: Claim) -> AsyncIterator[None]:
    """Release a key without a stored response, unless a repeat needs the same resource id."""
    try:
        yield
    except Problem as problem:
        # A refusal had no effect. An unavailable dependency may have acted under our resource
        # id, so a repeat must use the same one.
        refused = problem.status < 500  # noqa: PLR2004
        await (release if refused else expire_lease)(database, held)
        raise
    except RequestValidationError:
        await release(database, held)
        raise
    except Exception as error:
        # After a fault the lease remains, and a repeat takes it over once it has expired.
        if classify(error) is not ErrorKind.FAULT:
            await _try_to_expire_lease(database, held)
        raise
    if not held.stored:
        await release(database, held)


async def _try_to_expire_lease(database: Database, held: Claim) -> None:
    """End the lease early, so that a repeat after `Retry-After` succeeds, if possible."""
    try:
        await expire_lease(database, held)
    except Exception as error:  # noqa: BLE001
        log.info("lease not ended early", error=repr(error)[:200])


def idempotent(
    principal: Callable[..., Any], revise: Callable[[Request, bytes], bytes] | None = None
) -> Any:
    """A dependency that claims the request's key for the principal that another one returns.

    principal: a dependency such as one that returns `caller.principal`.
    revise: completes a stored response before it is sent again, with what must not be stored.

    `async def place(claim: Annotated[Claim, idempotent(buyer)], tx: Tx)`; the route ends with
    `return await claim.store(tx, 202, view)`.
    """

    @refuses(KeyMissing, BadIdempotencyKey, KeyReused, RequestInProgress)
    async def claim_key(
        request: Request,
        claimant: Annotated[str, Depends(principal)],
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
            raise BadIdempotencyKey
        database: Database = request.app.state.database
        route = f"{request.method} {request.scope['path']}"
        try:
            lease = request.app.state.settings.idempotency_lease
            held = await claim(database, claimant, key, route, await request.body(), lease)
        except Replayed as replayed:
            if revise is not None:
                replayed.answer = revise(request, bytes(replayed.answer))
            raise
        async with _release_lease(database, held):
            yield held

    return Depends(claim_key, scope="function")
