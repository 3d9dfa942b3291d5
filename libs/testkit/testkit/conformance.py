"""Checks responses in tests against the document and the audit trail.

An undeclared status or problem code, or a change by staff without an audit entry, fails the test.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from sqlalchemy import text

from chassis.db import Database

Document = dict[str, Any]
FAILURE = 400
# The form of a path parameter. A gateway resolves `..` and `..;`, which makes another path.
SEGMENT = r"(?!\.{1,2}(?:[;/]|$))[^/]+"

AUDIT_ENTRIES = text(
    "select actor, action, target from audit_entries where request_id = :request_id"
)
NOTHING_TO_DO = "changes nothing when nothing waits; test_operator checks its entries"
# Operations that may succeed without an entry, by the suffix of their id, and why.
UNAUDITED = {
    "_fetch_dead_letters": NOTHING_TO_DO,
    "_redrive_dead_letters": NOTHING_TO_DO,
    "_discard_dead_letters": NOTHING_TO_DO,
    "_retry_outbox": NOTHING_TO_DO,
    "_replay_events": NOTHING_TO_DO,
}


class Declared:
    """The declared responses of a document's operations."""

    def __init__(self, document: Document) -> None:
        """Take a document as `describe` completes it."""
        self.operations: list[tuple[str, re.Pattern[str], Document]] = [
            (
                method,
                re.compile(re.sub(r"\\{[^}]+\\}", lambda _: SEGMENT, re.escape(path))),
                operation,
            )
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]
        # Literal paths precede those with a parameter in the same place.
        self.operations.sort(key=lambda each: each[1].pattern.count(SEGMENT))

    def undeclared(self, method: str, path: str, status: int, code: str | None) -> str | None:
        """Why a response is undeclared, by its status or `code`; None for a declared one.

        Responses of paths and methods without an operation are not checked.
        """
        operation = self.find(method, path)
        if operation is None:
            return None
        name, answer = operation["operationId"], operation["responses"].get(str(status))
        if answer is None:
            return f"{name} answered {status} ({code}), which it does not declare"
        if status >= FAILURE and code not in _codes(answer):
            return f"{name} refused with {status} {code}, which it does not declare"
        return None

    def find(self, method: str, path: str) -> Document | None:
        """The operation that serves a request, or None."""
        for offered, form, operation in self.operations:
            if offered == method.lower() and form.fullmatch(path):
                return operation
        return None


def _codes(answer: Document) -> set[str]:
    shown = answer.get("content", {}).get("application/problem+json", {})
    return set(shown.get("examples", {}))


def check_declared(declared: Declared) -> Callable[[httpx.Response], Coroutine[None, None, None]]:
    """A hook for a client that fails the test on an undeclared response."""

    async def check(answer: httpx.Response) -> None:
        code = None
        if answer.headers.get("content-type") == "application/problem+json":
            await answer.aread()
            code = answer.json()["code"]
        request = answer.request
        wrong = declared.undeclared(request.method, request.url.path, answer.status_code, code)
        assert wrong is None, f"{wrong}: {request.method} {request.url}"  # noqa: S101

    return check


def is_audited(method: str, operation: Document) -> bool:
    """Whether an operation must write an audit entry: staff changes something by it."""
    is_exempt = operation["operationId"].endswith(tuple(UNAUDITED))
    return method.lower() != "get" and bool(operation.get("x-permissions")) and not is_exempt


def check_audited(
    declared: Declared, database: Database
) -> Callable[[httpx.Response], Coroutine[None, None, None]]:
    """A hook for a client that fails the test on a change by staff without an audit entry."""

    async def check(answer: httpx.Response) -> None:
        method, path = answer.request.method, answer.request.url.path
        operation = declared.find(method, path)
        if not answer.is_success or operation is None or not is_audited(method, operation):
            return
        if answer.headers.get("Idempotency-Replayed"):
            return
        found = await database.execute_once(
            AUDIT_ENTRIES, {"request_id": answer.headers["X-Request-Id"]}
        )
        entries = found.all()
        assert entries, f"{method} {path} left no audit entry"  # noqa: S101
        for entry in entries:
            assert entry.actor.startswith("user:"), f"{method} {path}: {entry}"  # noqa: S101
            assert entry.target, f"{method} {path} does not name its target"  # noqa: S101

    return check
