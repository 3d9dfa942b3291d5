"""Numbered schema snapshots of every message, each with its golden example.

`python -m contracts.snapshots` writes a new snapshot and example for each compatible change, and
the AsyncAPI document; it fails on an incompatible change. `--check` reports and writes nothing.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from contracts import asyncapi, examples, registry
from contracts.catalogue import schema_of
from contracts.compatibility import breaks
from contracts.message import Message

FOLDER = Path(__file__).parent / "schemas"


def snapshots(message: type[Message], folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The snapshots of a message, oldest first."""
    return [
        json.loads(file.read_text()) for file in sorted(_folder(message, folder).glob("*.json"))
    ]


def _folder(message: type[Message], folder: Path) -> Path:
    return folder / message.type_name().removeprefix("cartwright.")


def faults(message: type[Message], folder: Path = FOLDER) -> list[str]:
    """Why a message breaks an earlier snapshot, or that its newest snapshot is missing."""
    now, known = schema_of(message), snapshots(message, folder)
    broken = [
        f"{message.type_name()} against snapshot {number}: {reason}"
        for number, old in enumerate(known, start=1)
        for reason in breaks(old, now)
    ]
    if broken:
        return broken
    if not known or known[-1] != now:
        return [
            f"{message.type_name()}: no snapshot of its current schema; run contracts.snapshots"
        ]
    return []


def write(message: type[Message], folder: Path = FOLDER, golden: Path = examples.FOLDER) -> bool:
    """Write a snapshot and an example if the schema changed; returns whether it did.

    Changed titles and descriptions are written into the newest snapshot: they make no new schema.
    Raises ValueError on an incompatible change.
    """
    now, known = schema_of(message), snapshots(message, folder)
    if known and known[-1] == now:
        return False
    if known and _without_descriptions(known[-1]) == _without_descriptions(now):
        newest = _folder(message, folder) / f"{len(known):04d}.json"
        newest.write_text(json.dumps(now, indent=2) + "\n")
        return True
    broken = [reason for old in known for reason in breaks(old, now)]
    if broken:
        raise ValueError(f"{message.type_name()}: {broken[0]}; add a new class instead")
    place = _folder(message, folder)
    place.mkdir(parents=True, exist_ok=True)
    number = f"{len(known) + 1:04d}.json"
    (place / number).write_text(json.dumps(now, indent=2) + "\n")
    example = _folder(message, golden) / number
    example.parent.mkdir(parents=True, exist_ok=True)
    example.write_bytes(examples.example_of(message))
    return True


def _without_descriptions(schema: Any) -> Any:
    """The schema without titles and descriptions; a property of such a name is a dict."""
    if isinstance(schema, list):
        return [_without_descriptions(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_descriptions(value)
        for key, value in schema.items()
        if key not in ("title", "description") or not isinstance(value, str)
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m contracts.snapshots", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="report what is missing and write nothing"
    )
    arguments = parser.parse_args()
    messages = registry.all_messages().values()
    if arguments.check:
        found = [fault for message in messages for fault in faults(message)]
        found += [fault for message in messages for fault in examples.faults(message)]
        found += [] if asyncapi.is_current() else ["asyncapi.json is outdated"]
        sys.exit("\n".join(found) or 0)
    try:
        written = [message.type_name() for message in messages if write(message)]
    except ValueError as error:
        sys.exit(str(error))
    if not asyncapi.is_current():
        asyncapi.FILE.write_text(asyncapi.text())
        written.append(asyncapi.FILE.name)
    sys.stdout.write("".join(f"wrote {name}\n" for name in written) or "nothing changed\n")


if __name__ == "__main__":
    main()
