"""A message as one JSON document (CloudEvents structured mode), for the feed, files and webhooks.

`data` is the last member and holds the bytes of the broker's message unchanged, so that signatures
and comparisons of bytes remain valid.
"""

import json
from collections.abc import Iterator
from typing import Any

from contracts.envelope import BadEnvelope, Envelope

MEDIA_TYPE = "application/cloudevents+json"
DATA = "data"
_decoder = json.JSONDecoder()


def write(envelope: Envelope, data: bytes) -> bytes:
    """The message as one JSON document, on one line."""
    attributes = json.dumps(envelope.attributes(), ensure_ascii=False, separators=(",", ":"))
    return attributes[:-1].encode() + b',"data":' + data + b"}"


def read(document: bytes) -> tuple[Envelope, bytes]:
    """The envelope and the `data` bytes. Raises BadEnvelope on a malformed document."""
    try:
        members = dict(_members(document.decode()))
        attributes = {name: json.loads(raw) for name, raw in members.items() if name != DATA}
    except ValueError as error:
        raise BadEnvelope(f"not a JSON object: {error}") from None
    if DATA not in members:
        raise BadEnvelope("the member data is missing")
    return Envelope.of_attributes(attributes), members[DATA].encode()


def read_batch(documents: bytes, member: str) -> list[tuple[Envelope, bytes]]:
    """The messages of an array in a JSON object, such as a page of the feed. Raises BadEnvelope."""
    try:
        found = dict(_members(documents.decode()))[member]
        return [read(raw.encode()) for raw in _entries(found)]
    except (KeyError, ValueError) as error:
        raise BadEnvelope(f"no list of messages under {member}: {error}") from None


def _members(text: str) -> Iterator[tuple[str, str]]:
    """The members of a JSON object, each value as its original text."""
    position = _expect(text, 0, "{")
    while text[position : position + 1] != "}":
        name, position = _value(text, position)
        value = _expect(text, position, ":")
        _, position = _value(text, value)
        yield name, text[value:position].strip()
        position = _next(text, position, "}")
    _end(text, position + 1)


def _entries(text: str) -> Iterator[str]:
    """The entries of a JSON array, each as its original text."""
    position = _expect(text, 0, "[")
    while text[position : position + 1] != "]":
        begin = position
        _, position = _value(text, position)
        yield text[begin:position]
        position = _next(text, position, "]")
    _end(text, position + 1)


def _value(text: str, position: int) -> tuple[Any, int]:
    return _decoder.raw_decode(text, _skip_whitespace(text, position))


def _skip_whitespace(text: str, position: int) -> int:
    while text[position : position + 1] in {" ", "\t", "\n", "\r"}:
        position += 1
    return position


def _expect(text: str, position: int, mark: str) -> int:
    position = _skip_whitespace(text, position)
    if text[position : position + 1] != mark:
        raise ValueError(f"expected {mark} at {position}")
    return _skip_whitespace(text, position + 1)


def _next(text: str, position: int, last: str) -> int:
    """The position after a value: at the closing mark, or at the value after a comma."""
    position = _skip_whitespace(text, position)
    return position if text[position : position + 1] == last else _expect(text, position, ",")


def _end(text: str, position: int) -> None:
    if text[position:].strip():
        raise ValueError(f"unexpected text at {position}")
