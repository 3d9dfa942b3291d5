"""What is published of every message: numbered schema snapshots, each with its golden example.

`python -m contracts.snapshots` writes a new snapshot where a schema changed compatibly, its example
and the AsyncAPI document, and refuses where it did not; `--check` only tells.
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
    """Every snapshot of a message, oldest first."""
    return [
        json.loads(file.read_text()) for file in sorted(_folder(message, folder).glob("*.json"))
    ]


def _folder(message: type[Message], folder: Path) -> Path:
    return folder / message.type_name().removeprefix("cartwright.")


def faults(message: type[Message], folder: Path = FOLDER) -> list[str]:
    """How a message breaks its earlier snapshots, or that its newest snapshot is missing."""
    now, kept = schema_of(message), snapshots(message, folder)
    broken = [
        f"{message.type_name()} against snapshot {number}: {reason}"
        for number, old in enumerate(kept, start=1)
        for reason in breaks(old, now)
    ]
    if broken:
        return broken
    if not kept or kept[-1] != now:
        return [
            f"{message.type_name()}: no snapshot of its present schema; run contracts.snapshots"
        ]
    return []


def write(message: type[Message], folder: Path = FOLDER, golden: Path = examples.FOLDER) -> bool:
    """Write snapshot and example if the schema changed; return whether it did.

    Changed titles and descriptions are written into the newest snapshot: they are no new schema.
    Raises ValueError on a break.
    """
    now, kept = schema_of(message), snapshots(message, folder)
    if kept and kept[-1] == now:
        return False
    if kept and _undocumented(kept[-1]) == _undocumented(now):
        newest = _folder(message, folder) / f"{len(kept):04d}.json"
        newest.write_text(json.dumps(now, indent=2) + "\n")
        return True
    broken = [reason for old in kept for reason in breaks(old, now)]
    if broken:
        raise ValueError(f"{message.type_name()}: {broken[0]}; make it a new class instead")
    place = _folder(message, folder)
    place.mkdir(parents=True, exist_ok=True)
    number = f"{len(kept) + 1:04d}.json"
    (place / number).write_text(json.dumps(now, indent=2) + "\n")
    example = _folder(message, golden) / number
    example.parent.mkdir(parents=True, exist_ok=True)
    example.write_bytes(examples.newest(message))
    return True


def _undocumented(schema: Any) -> Any:
    """The schema without its titles and descriptions; a property of such a name is a dict."""
    if isinstance(schema, list):
        return [_undocumented(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _undocumented(value)
        for key, value in schema.items()
        if key not in ("title", "description") or not isinstance(value, str)
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m contracts.snapshots", description=__doc__)
    parser.add_argument("--check", action="store_true", help="tell what is missing, write nothing")
    arguments = parser.parse_args()
    messages = registry.all_messages().values()
    if arguments.check:
        found = [fault for message in messages for fault in faults(message)]
        found += [fault for message in messages for fault in examples.faults(message)]
        found += [] if asyncapi.is_current() else ["asyncapi.json is not current"]
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
