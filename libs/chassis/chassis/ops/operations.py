"""Records the changes of staff operations in the audit trail.

`chassis.auth.require_permission` marks the request of a staff operation, and the transaction that
changes something writes the entry before it commits. A route may record better ones by
`audit.record`; the others are audited all the same.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context
from chassis.context import StaffOperation
from chassis.ops import audit
from contracts.message import Message

HAS_CHANGED = text("select pg_current_xact_id_if_assigned() is not null")
READING = {"GET", "HEAD"}
# Values of these types are neither personal nor secret; of other fields only the name is recorded.
HARMLESS = {bool, int, UUID, date, datetime, type(None)}
REASON = "by hand"


async def mark(request: Request) -> None:
    """Mark the request as a staff operation, unless it only reads."""
    if request.method in READING:
        return
    route = request.scope.get("fastapi", {}).get("effective_route_context", request.scope["route"])
    named = {name: str(value) for name, value in request.path_params.items()}
    target = named.pop(next(iter(named))) if named else None
    for parameter in route.dependant.body_params:
        named |= _summary(await _body_of(request), parameter.field_info.annotation)
    context.set_operation(StaffOperation(action=route.unique_id, target=target, after=named))


async def record(tx: AsyncSession, published: Sequence[Message]) -> StaffOperation | None:
    """Record the current operation, if this transaction changes something.

    The targets that it creates are named by its route (`audit.name_created`) or by the messages
    that it publishes. Returns the operation, which is recorded once the transaction has committed.
    """
    operation = context.current().operation
    if operation is None or operation.is_recorded:
        return None
    if not audit.has_recorded(tx):
        await tx.flush()
        if not await tx.scalar(HAS_CHANGED):
            return None
        named = [operation.target] if operation.target is not None else audit.created(tx)
        targets = named or [*dict.fromkeys(message.subject() for message in published)] or [""]
        entries = [(target, None, operation.after) for target in targets]
        await audit.record_all(tx, operation.action, REASON, entries)
    return operation


async def _body_of(request: Request) -> Any:
    """The body as JSON; None for a missing or malformed one, which the route itself refuses."""
    try:
        return await request.json()
    except ValueError:
        return None


def _summary(body: Any, model: Any) -> audit.State:
    """The fields of a body, with the values of those that cannot be personal."""
    if not isinstance(body, dict) or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    fields = model.model_fields
    return {
        name: value if _is_harmless(fields[name].annotation) else _size(value)
        for name, value in body.items()
        if name in fields
    }


def _is_harmless(hint: Any) -> bool:
    if get_origin(hint) is Literal or hint in HARMLESS:
        return True
    inner = [each for each in get_args(hint) if isinstance(each, type) or get_args(each)]
    return bool(inner) and all(_is_harmless(each) for each in inner)


def _size(value: Any) -> str:
    return f"{len(value)} entries" if isinstance(value, list | dict) else "given"
