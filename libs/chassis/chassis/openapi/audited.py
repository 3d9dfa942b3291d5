"""Holds answers against the audit trail: tests find a staff operation that leaves no entry."""

from collections.abc import Callable, Coroutine

import httpx
from sqlalchemy import text

from chassis.db import Database
from chassis.openapi.declared import Declared, Document

READ = text("select actor, action, target from audit_entries where request_id = :request_id")
NOTHING_TO_DO = "has nothing to change where nothing waits; test_operator holds its entries"
# Operations that may succeed without an entry, by the end of their id, and why.
EXCUSED = {
    "_fetch_dead_letters": NOTHING_TO_DO,
    "_redrive_dead_letters": NOTHING_TO_DO,
    "_discard_dead_letters": NOTHING_TO_DO,
    "_retry_outbox": NOTHING_TO_DO,
    "_replay_events": NOTHING_TO_DO,
}


def is_audited(method: str, operation: Document) -> bool:
    """Whether an operation of the document must leave an entry: staff changes something by it."""
    is_excused = operation["operationId"].endswith(tuple(EXCUSED))
    return method.lower() != "get" and bool(operation.get("x-permissions")) and not is_excused


def watch(
    declared: Declared, database: Database
) -> Callable[[httpx.Response], Coroutine[None, None, None]]:
    """Return a hook for a client that fails the test on a change by staff without its entry."""

    async def check(answer: httpx.Response) -> None:
        method, path = answer.request.method, answer.request.url.path
        operation = declared.find(method, path)
        if not answer.is_success or operation is None or not is_audited(method, operation):
            return
        if answer.headers.get("Idempotency-Replayed"):
            return
        found = await database.execute_once(READ, {"request_id": answer.headers["X-Request-Id"]})
        entries = found.all()
        assert entries, f"{method} {path} left no audit entry"  # noqa: S101
        for entry in entries:
            assert entry.actor.startswith("user:"), f"{method} {path}: {entry}"  # noqa: S101
            assert entry.target, f"{method} {path} does not name what it changed"  # noqa: S101

    return check
