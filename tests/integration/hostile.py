"""Everything the API document names, and input for it that no honest client would send."""

import base64
import json
import re
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = Any
METHODS = ("get", "post", "put", "patch", "delete")
CANARY = "canary-7f3a91"
DEEP, INFINITE = "@@deep@@", "@@infinite@@"
# Texts that fit the patterns in use, tried in turn.
TEXTS = (
    "USD",
    "US",
    "tok_ok",
    "size",
    "word",
    "https://example.com/a",
    "2026-11-21",
    "1",
    "a" * 20,
)
ANY_FIELD: dict[str, Json] = {
    "a text": CANARY,
    "a number": 7,
    "a fraction": 1.5,
    "truth": True,
    "null": None,
    "an object": {CANARY: 1},
    "a list": [[]],
    "a negative number": -1,
    "a huge number": 10**40,
    "not a number": float("nan"),
    "infinity": INFINITE,
    "half a character": CANARY + "\ud800",
    "a null character": CANARY + "\0",
    "a long text": CANARY * 2000,
    "a far end of time": "9999-12-31T23:59:59-23:59",
    "a thousand levels": DEEP,
}
# What nothing at all may take: it is no JSON value, or no text PostgreSQL could keep.
NEVER = ("not a number", "infinity", "half a character", "a null character", "a thousand levels")
WHOLE_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "half an object": b'{"a":',
    "no text": b"\xff\xfe\x00",
    "a deep list": b"[" * 1000 + b"]" * 1000,
    "an unknown field": b'{"' + CANARY.encode() + b'": 1}',
}
PARAMETERS = (
    "", "0", "-1", "1.5", str(10**9), str(10**40), "NaN", "x", CANARY, "\0", "'", "%", "💥", "a" * 900,
    "WzEsMiwzLDRd", "W251bGxd", "W10", "e30", "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwgIngiXQ",
    "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", str(2**63),
)  # fmt: skip
# Parts of a cursor, of each type that a list is sorted by, and what is no part of any.
SOUND_PARTS: tuple[Json, ...] = ("2026-11-21T12:00:00+00:00", str(uuid.UUID(int=1)), 1, "word")
NO_PARTS: tuple[Json, ...] = (None, True, 1.5, [], {}, 2**63, 10**40, "\0", "\ud800")
ODD_PARTS: tuple[Json, ...] = (
    "", -1, 2**31, "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59+00:00", "2026-11-21T12:00:00",
    "9999-12-31T23:59:59-23:59",
)  # fmt: skip
MALFORMED_IDS = ("x", "0", "-1", "%00", "'", "%25", "..;", "a" * 300, "g" * 36, "💥", "%ED%A0%80")


@dataclass(frozen=True)
class Operation:
    """One operation of the document. `schema` is that of its body, or None.

    security: `required`, `optional` or `ignored` access token. permissions: all are needed.
    callers: the services that may call an internal operation; empty for any.
    example: the body that the document shows, or None.
    """

    method: str
    path: str
    parameters: tuple[dict[str, Json], ...]
    schema: dict[str, Json] | None
    security: str = "ignored"
    permissions: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    example: Json = None

    @property
    def needs_token(self) -> bool:
        """Whether an access token is required."""
        return self.security == "required"

    def named(self, place: str) -> list[str]:
        """The names of its parameters in the path, the query or the headers."""
        return [each["name"] for each in self.parameters if each["in"] == place]

    def url(self, known: dict[str, str]) -> str:
        """Its address, with an unused id for every name that is not known."""
        return re.sub(r"{(\w+)}", lambda m: known.get(m[1], str(uuid.uuid4())), self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def security_of(operation: dict[str, Json]) -> str:
    """Whether an access token is required, optional or ignored."""
    declared = operation.get("security")
    if not declared:
        return "ignored"
    return "optional" if {} in declared else "required"


class Document:
    """The merged OpenAPI document."""

    def __init__(self, document: dict[str, Json]) -> None:
        self.schemas = document["components"]["schemas"]
        self.examples = document["components"].get("examples", {})
        self.operations = [
            Operation(
                method.upper(),
                path,
                tuple(item[method].get("parameters", ())),
                self._body(item[method]),
                security_of(item[method]),
                frozenset(item[method].get("x-permissions", ())),
                frozenset(item[method].get("x-calling-services", ())),
                self._example(item[method]),
            )
            for path, item in document["paths"].items()
            for method in METHODS
            if method in item
        ]

    def _body(self, operation: dict[str, Json]) -> dict[str, Json] | None:
        content = operation.get("requestBody", {}).get("content", {})
        return self.plain(content["application/json"]["schema"]) if content else None

    def _example(self, operation: dict[str, Json]) -> Json:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in content:
            return content["example"]
        for shown in content.get("examples", {}).values():
            name = shown.get("$ref", "").rpartition("/")[2]
            return self.examples[name]["value"] if name else shown["value"]
        return None

    def plain(self, schema: dict[str, Json]) -> dict[str, Json]:
        """A schema without references or alternatives at its top."""
        if "$ref" in schema:
            return self.plain(self.schemas[schema["$ref"].rpartition("/")[2]])
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                first = next(s for s in schema[several] if s.get("type") != "null")
                return self.plain(first)
        return schema

    def sample(self, schema: dict[str, Json]) -> Json:
        """A value that the schema accepts, as far as the schema defines it."""
        schema = self.plain(schema)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        match schema.get("type"):
            case "object":
                return {
                    name: self.sample(part) for name, part in schema.get("properties", {}).items()
                }
            case "array":
                return [self.sample(schema.get("items", {}))]
            case "integer" | "number":
                return max(1, int(schema.get("minimum", 1)))
            case "boolean" | "null" as kind:
                return True if kind == "boolean" else None
            case _:
                return text_for(schema)

    def invalid(self, schema: dict[str, Json]) -> Iterator[tuple[str, Json, bool]]:
        """Bodies with one invalid field: the change, the body, and whether it must be refused."""
        whole = self.sample(schema)
        for name in whole if isinstance(whole, dict) else ():
            for what, value in ANY_FIELD.items():
                yield f"{name} is {what}", {**whole, name: value}, what in NEVER
        if isinstance(whole, dict):
            for name, inner in whole.items():
                for what, body in deeper(inner):
                    yield f"in {name} {what}", {**whole, name: body}, True


def cursors() -> Iterator[tuple[str, bool]]:
    """Cursors of one part and of two, and whether every list must refuse them."""
    for part in (*NO_PARTS, *ODD_PARTS):
        others = [(part, sound) for sound in SOUND_PARTS]
        for position in ([part], *others, *(pair[::-1] for pair in others)):
            text = json.dumps(position).encode()
            yield base64.urlsafe_b64encode(text).decode().rstrip("="), part in NO_PARTS


def deeper(value: Json) -> Iterator[tuple[str, Json]]:
    """The same value with something in its midst that is never right."""
    if isinstance(value, list) and value:
        for what, body in deeper(value[0]):
            yield what, [body]
    if isinstance(value, dict):
        for name in value:
            for what in NEVER:
                yield f"{name} is {what}", {**value, name: ANY_FIELD[what]}
        yield "a key is half a character", {**value, "\ud800": 1}


def text_for(schema: dict[str, Json]) -> str:
    """A text of a format or pattern."""
    match schema.get("format"):
        case "uuid":
            return str(uuid.uuid4())
        case "date-time":
            return "2026-11-21T12:00:00+00:00"
        case "date":
            return "2026-11-21"
        case "email":
            return f"{secrets.token_hex(4)}@example.com"
    shortest, pattern = schema.get("minLength", 0), schema.get("pattern", "")
    longest = schema.get("maxLength", 10**6)
    fitting = (t for t in TEXTS if shortest <= len(t) <= longest and re.search(pattern, t))
    return next(fitting, "x" * shortest)


def encoded(body: Json) -> bytes:
    """JSON with values that Python's encoder cannot write."""
    text = json.dumps(body)
    text = text.replace(f'"{DEEP}"', '{"a":' * 1000 + "1" + "}" * 1000)
    return text.replace(f'"{INFINITE}"', "1e400").encode()


def faults_of(answer: Any, what: str, *, refused: bool = False) -> list[str]:
    """What is wrong with an answer to bad input, in words."""
    described = f"{what}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 500 or (refused and answer.status_code < 400):
        return [described]
    if answer.status_code < 400:
        return []
    if answer.headers.get("content-type") != "application/problem+json":
        return [f"no problem document: {described}"]
    problem = answer.json()
    # The gateway gives no id to what it cannot even read as a request.
    unread = answer.status_code == 400 and answer.headers.get("server") == "cartwright"
    if not problem.get("code") or not (problem.get("request_id") or unread):
        return [f"no code or request id: {described}"]
    without_names = {k: v for k, v in problem.items() if k != "errors"}
    if CANARY in json.dumps(without_names) or "xx" + CANARY in answer.text:
        return [f"an echo: {described}"]
    return []
