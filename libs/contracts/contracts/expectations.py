"""Consumer-driven contracts: the fields that a consumer reads, checked against the producer.

An expectation is the part of a message's `data` that its consumer reads: `<folder>/<type>.json`,
with these fields alone and the values that matter to it. The producer's tests check all of them, so
that a change which would break a consumer fails before it is released.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts import catalogue


@dataclass(frozen=True, slots=True)
class Expectation:
    """The fields that one consumer reads. `name` is a type such as `orders.OrderPlaced.v1`."""

    consumer: str
    name: str
    data: Any


def load(consumer: str, folder: Path) -> list[Expectation]:
    """The expectations in a consumer's folder. Raises ValueError on a file that is not JSON."""
    return [
        Expectation(consumer, file.stem, json.loads(file.read_text()))
        for file in sorted(folder.glob("*.json"))
    ]


def unmet(expectation: Expectation) -> list[str]:
    """Why the producer does not satisfy an expectation; empty when it does."""
    entry = catalogue.find(expectation.name)
    if entry is None or entry.name != expectation.name:
        return [f"{expectation.consumer} expects {expectation.name}, which no service sends"]
    try:
        entry.message.model_validate_json(json.dumps(overlay(entry.data, expectation.data)))
    except ValidationError as error:
        return [
            f"{expectation.consumer} expects of {expectation.name}: "
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
    return []


def overlay(example: Any, expected: Any) -> Any:
    """The example with the expected values; each entry of a list overlays the example's first."""
    if isinstance(example, dict) and isinstance(expected, dict):
        return example | {
            name: overlay(example.get(name), value) for name, value in expected.items()
        }
    if isinstance(expected, list):
        first = example[0] if isinstance(example, list) and example else None
        return [overlay(first, each) for each in expected]
    return expected


def missing(sent: Any, expected: Any, path: str = "$") -> list[str]:
    """Paths that an expectation names and a message that was sent lacks.

    A null or an empty list matches anything: the schema decides whether it is allowed.
    """
    if isinstance(expected, dict) and isinstance(sent, dict):
        absent = [f"{path}.{name}" for name in expected.keys() - sent.keys()]
        return absent + _missing_in_all(
            (sent[name], expected[name], f"{path}.{name}") for name in expected.keys() & sent.keys()
        )
    if isinstance(expected, list) and isinstance(sent, list):
        return _missing_in_all(
            (each, expected[0], f"{path}[{number}]") for number, each in enumerate(sent) if expected
        )
    same = sent is None or expected is None or type(sent) is type(expected)
    return [] if same else [f"{path} is {sent!r}, not like {expected!r}"]


def _missing_in_all(pairs: Iterable[tuple[Any, Any, str]]) -> list[str]:
    return [lost for sent, expected, path in pairs for lost in missing(sent, expected, path)]
