"""What a consumer relies on, in files that it owns, held against what the producer promises.

An expectation is the part of a message's `data` that its consumer reads: `<folder>/<type>.json`,
with only those fields, and values that matter to it. The producer's tests replay all of them, so
that a producer learns whom a change would break before it is made.
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
    """The fields one consumer reads of one message. `name` is as `orders.OrderPlaced.v1`."""

    consumer: str
    name: str
    data: Any


def load(consumer: str, folder: Path) -> list[Expectation]:
    """The expectations in a consumer's folder; raises ValueError on a file that is not JSON."""
    return [
        Expectation(consumer, file.stem, json.loads(file.read_text()))
        for file in sorted(folder.glob("*.json"))
    ]


def unmet(expectation: Expectation) -> list[str]:
    """What the producer does not promise of an expectation, in words; empty when it keeps all."""
    entry = catalogue.find(expectation.name)
    if entry is None or entry.name != expectation.name:
        return [f"{expectation.consumer} expects {expectation.name}, which nobody sends"]
    try:
        entry.message.model_validate_json(json.dumps(overlaid(entry.data, expectation.data)))
    except ValidationError as error:
        return [
            f"{expectation.consumer} expects of {expectation.name}: "
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
    return []


def overlaid(told: Any, expected: Any) -> Any:
    """An example with the expected values in their places; lists entry by entry on the first."""
    if isinstance(told, dict) and isinstance(expected, dict):
        return told | {name: overlaid(told.get(name), value) for name, value in expected.items()}
    if isinstance(expected, list):
        pattern = told[0] if isinstance(told, list) and told else None
        return [overlaid(pattern, each) for each in expected]
    return expected


def missing(told: Any, expected: Any, path: str = "$") -> list[str]:
    """Paths that an expectation names and a message that was really sent does not have.

    A null, and an empty list, may stand for anything: whether they may is the schema's to say.
    """
    if isinstance(expected, dict) and isinstance(told, dict):
        absent = [f"{path}.{name}" for name in expected.keys() - told.keys()]
        return absent + _of_all(
            (told[name], expected[name], f"{path}.{name}") for name in expected.keys() & told.keys()
        )
    if isinstance(expected, list) and isinstance(told, list):
        return _of_all(
            (each, expected[0], f"{path}[{number}]") for number, each in enumerate(told) if expected
        )
    same = told is None or expected is None or type(told) is type(expected)
    return [] if same else [f"{path} is {told!r}, not like {expected!r}"]


def _of_all(pairs: Iterable[tuple[Any, Any, str]]) -> list[str]:
    return [lost for told, expected, path in pairs for lost in missing(told, expected, path)]
