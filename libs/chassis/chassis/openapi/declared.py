"""Holds answers against the document: a refusal that nobody was told of is found by any test."""

import re
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

Document = dict[str, Any]
FAILURE = 400
# What may stand for a parameter of a path. A gateway takes `..` and `..;` out, and what is left is
# another path.
SEGMENT = r"(?!\.{1,2}(?:[;/]|$))[^/]+"


class Declared:
    """What the operations of a document may answer."""

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
        # A path that is spelt out comes before one that takes anything in the same place.
        self.operations.sort(key=lambda each: each[1].pattern.count(SEGMENT))

    def surprise(self, method: str, path: str, status: int, code: str | None) -> str | None:
        """What is wrong with an answer: its status or its `code` is not declared; None if nothing.

        A path or method of no operation is not judged: nobody offered it.
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
        """Return the operation that serves a request, None where none is offered."""
        for offered, form, operation in self.operations:
            if offered == method.lower() and form.fullmatch(path):
                return operation
        return None


def _codes(answer: Document) -> set[str]:
    shown = answer.get("content", {}).get("application/problem+json", {})
    return set(shown.get("examples", {}))


def watch(declared: Declared) -> Callable[[httpx.Response], Coroutine[None, None, None]]:
    """A hook for a client that fails the test on an answer the document does not declare."""

    async def check(answer: httpx.Response) -> None:
        code = None
        if answer.headers.get("content-type") == "application/problem+json":
            await answer.aread()
            code = answer.json()["code"]
        asked = answer.request
        wrong = declared.surprise(asked.method, asked.url.path, answer.status_code, code)
        assert wrong is None, f"{wrong}: {asked.method} {asked.url}"  # noqa: S101

    return check
