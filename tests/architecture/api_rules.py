"""What every operation of the API's document must have; each rule gives what breaks it."""

import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "patch")
JSON = "application/json"
PROBLEM = "application/problem+json"
OPERATION_ID = re.compile(r"[a-z]+(_[a-z0-9]+)+")
LONGEST_SUMMARY = 100
ALWAYS_POSSIBLE = {"400", "401", "429", "500", "503"}


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def unclear_names(document: Document) -> list[str]:
    """Operation ids are words with underscores, used once."""
    found = [(where, each.get("operationId", "")) for where, each in operations(document)]
    ids = [name for _, name in found]
    return [
        f"{where}: {name}"
        for where, name in found
        if not OPERATION_ID.fullmatch(name) or ids.count(name) > 1
    ]


def untold(document: Document) -> list[str]:
    """A summary is one short sentence, without its full stop."""
    return [
        f"{where}: {summary!r}"
        for where, each in operations(document)
        if not 3 <= len(summary := each.get("summary", "")) <= LONGEST_SUMMARY
        or summary.endswith(".")
    ]


def open_to_anyone(document: Document) -> list[str]:
    """An operation of the administration needs a permission."""
    return [
        where
        for where, each in operations(document)
        if " /v1/admin/" in where and not each.get("x-permissions")
    ]


def without_examples(document: Document) -> list[str]:
    """What is sent and what is answered has an example, and a form."""
    found = []
    for where, each in operations(document):
        parts = {"request": each["requestBody"]} if "requestBody" in each else {}
        parts |= each["responses"]
        for name, part in parts.items():
            for kind, shown in part.get("content", {}).items():
                if not shown.get("schema") or not ("example" in shown or shown.get("examples")):
                    found.append(f"{where}: {name} as {kind}")
    return found


def silent_errors(document: Document) -> list[str]:
    """Every error is declared by its codes, under a status that is its own."""
    found = []
    known = document["components"]["examples"]
    for where, each in operations(document):
        errors = {status: part for status, part in each["responses"].items() if status >= "400"}
        found += [f"{where}: {status}" for status in ALWAYS_POSSIBLE - set(errors)]
        found += [f"{where}: default"] if "default" in each["responses"] else []
        for status, part in errors.items():
            codes = part.get("content", {}).get(PROBLEM, {}).get("examples", {})
            found += [f"{where}: {status} names no code"] if not codes else []
            for code in codes:
                if str(known.get(code, {}).get("value", {}).get("status")) != status:
                    found.append(f"{where}: {status} {code} is another status elsewhere")
    return found


def dangling(document: Document) -> list[str]:
    """Every reference leads somewhere."""
    found = []
    open_ends: list[Any] = [document]
    while open_ends:
        node = open_ends.pop()
        open_ends += (
            node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        )
        if isinstance(node, dict) and isinstance(reference := node.get("$ref"), str):
            section, _, name = reference.removeprefix("#/components/").partition("/")
            if name not in document["components"].get(section, {}):
                found.append(reference)
    return found


RULES = (unclear_names, untold, open_to_anyone, without_examples, silent_errors, dangling)
