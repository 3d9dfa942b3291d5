"""The catalogue of messages: the meaning of each, its producers and consumers, and an example."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import examples, registry, structured
from contracts.message import Command, Message

CONSUMERS = Path(__file__).with_name("consumers.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """The catalogue's entry for one message.

    producers: the services that may send it. consumers: the services of the suite whose queues are
    bound to it; other systems are not listed. schema: the JSON Schema of `data`. example: the
    complete message as one JSON document.
    """

    message: type[Message]
    summary: str
    description: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    schema: dict[str, Any]
    example: bytes

    @property
    def name(self) -> str:
        """The type without its prefix, as in `orders.OrderPlaced.v1`."""
        return self.message.type_name().removeprefix("cartwright.")

    @property
    def data(self) -> Any:
        """The example's data, decoded."""
        return json.loads(structured.read(self.example)[1])


def schema_of(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a message's data."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cartwright:schema:{message.type_name()}",
        **message.model_json_schema(),
    }


def entry_of(message: type[Message], consumers: Mapping[str, list[str]]) -> Entry:
    """The entry of one message. Raises ValueError when it has no summary or no example."""
    text = inspect.cleandoc(message.__doc__ or "")
    summary, _, description = text.partition("\n")
    golden = examples.golden_examples(message)
    if not summary or not golden:
        raise ValueError(f"{message.type_name()} has no {'example' if summary else 'docstring'}")
    senders = message.senders if issubclass(message, Command) else (message.owner(),)
    return Entry(
        message=message,
        summary=summary,
        description=" ".join(description.split()),
        producers=senders,
        consumers=tuple(consumers.get(message.type_name(), ())),
        schema=schema_of(message),
        example=golden[-1],
    )


def entries() -> list[Entry]:
    """Every message, sorted by type name. Raises ValueError when one is not documented."""
    consumers = json.loads(CONSUMERS.read_text())
    known = sorted(registry.all_messages().values(), key=lambda message: message.type_name())
    return [entry_of(message, consumers) for message in known]


def find(name: str) -> Entry | None:
    """The entry of `orders.OrderPlaced`, `orders.OrderPlaced.v1` or the full type name."""
    wanted = name.removeprefix("cartwright.")
    found = [each for each in entries() if wanted in (each.name, each.message.routing_key())]
    return found[0] if found else None
