"""The AsyncAPI 3.0 document of every message on the broker, generated from the contracts.

`python -m contracts.snapshots` writes it beside the schemas; `--check` fails when it is outdated.
Source: the AsyncAPI 3.0.0 specification and its AMQP 0-9-1 binding 0.3.0.
"""

import json
from pathlib import Path
from typing import Any

from contracts import catalogue
from contracts.catalogue import Entry

Document = dict[str, Any]
FILE = Path(__file__).with_name("asyncapi.json")
SCHEMAS = "#/components/schemas/"
DESCRIPTION = (
    "Every message between Cartwright's services. Events are public facts: any system may consume "
    "them from its own queue, or replay them from the log. Commands are internal to the suite. "
    "Within a version, only optional fields are added."
)
ATTRIBUTES: Document = {
    "specversion": {"type": "string", "const": "1.0"},
    "id": {
        "type": "string",
        "format": "uuid",
        "description": "UUIDv7; identical in every copy of the message.",
    },
    "source": {"type": "string", "description": "`/<service>/<aggregate>`."},
    "type": {"type": "string", "description": "`cartwright.<service>.<Name>.v<version>`."},
    "subject": {"type": "string", "description": "The aggregate's id."},
    "time": {"type": "string", "format": "date-time"},
    "datacontenttype": {"type": "string", "const": "application/json"},
    "dataschema": {"type": "string", "description": "The schema of `data`."},
    "sequence": {
        "type": "integer",
        "minimum": 1,
        "description": "Position in the aggregate's history (by source and subject), without gaps.",
    },
    "correlationid": {"type": "string", "description": "The order, or other business process."},
    "causationid": {
        "type": "string",
        "format": "uuid",
        "description": "The message that caused this one.",
    },
    "actor": {"type": "string", "description": "`user:<id>`, `guest`, `service:<name>`, …"},
    "traceparent": {"type": "string", "description": "W3C trace context."},
}
OPTIONAL = {"sequence", "causationid"}


def document() -> Document:
    """The document, a pure function of the contracts."""
    known = catalogue.entries()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cartwright messages",
            "version": "1",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {entry.message.routing_key(): _channel(entry) for entry in known},
        "operations": dict(_operation(entry) for entry in known),
        "components": {
            "messages": {entry.name: _message(entry) for entry in known},
            "messageTraits": {"cloudEvent": _trait()},
            "schemas": _schemas(known),
        },
    }


def _server() -> Document:
    return {
        "host": "{host}",
        "protocol": "amqp",
        "protocolVersion": "0-9-1",
        "description": "RabbitMQ; each system has its own user.",
        "variables": {"host": {"default": "localhost:5672", "description": "Host and port."}},
        "pathname": "/cartwright",
        "security": [{"type": "userPassword"}],
    }


def _channel(entry: Entry) -> Document:
    message = entry.message
    return {
        "address": None if message.kind == "snapshot" else message.routing_key(),
        "summary": entry.summary,
        "messages": {entry.name: {"$ref": f"#/components/messages/{entry.name}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": message.exchange(),
                    "type": "direct" if message.kind == "snapshot" else "topic",
                    "durable": True,
                    "autoDelete": False,
                    "vhost": "cartwright",
                },
                "bindingVersion": "0.3.0",
            }
        },
    }


def _operation(entry: Entry) -> tuple[str, Document]:
    key = entry.message.routing_key()
    senders = " or ".join(entry.producers)
    return f"send.{key}", {
        "action": "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "summary": f"Sent by {senders}.",
        "messages": [{"$ref": f"#/channels/{key}/messages/{entry.name}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": "0.3.0"}},
    }


def _message(entry: Entry) -> Document:
    envelope = json.loads(entry.example)
    headers = {f"cloudEvents:{name}": value for name, value in envelope.items() if name != "data"}
    described = {"description": entry.description} if entry.description else {}
    return {
        "name": entry.message.type_name(),
        "title": entry.message.__name__,
        "summary": entry.summary,
        **described,
        "contentType": "application/json",
        "tags": [{"name": entry.message.owner()}, {"name": entry.message.kind}],
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"$ref": f"{SCHEMAS}{entry.name}"},
        "examples": [{"name": "golden", "headers": headers, "payload": entry.data}],
        "x-producers": list(entry.producers),
        "x-consumers": list(entry.consumers),
    }


def _trait() -> Document:
    properties = {f"cloudEvents:{name}": schema for name, schema in ATTRIBUTES.items()}
    return {
        "headers": {
            "type": "object",
            "properties": properties,
            "required": [f"cloudEvents:{name}" for name in ATTRIBUTES if name not in OPTIONAL],
        },
        "correlationId": {"location": "$message.header#/cloudEvents:correlationid"},
    }


def _schemas(known: list[Entry]) -> Document:
    """The schemas of all messages and of their shared parts, with references into the document.

    Raises ValueError when two different parts share a name.
    """
    found: Document = {}
    for entry in known:
        own = {key: value for key, value in entry.schema.items() if key not in ("$schema", "$id")}
        parts = own.pop("$defs", {})
        for name, schema in {**parts, entry.name: own}.items():
            placed = _with_local_references(schema)
            if found.setdefault(name, placed) != placed:
                raise ValueError(f"two parts of messages share the name {name}")
    return dict(sorted(found.items()))


def _with_local_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_local_references(each) for each in node]
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", SCHEMAS)
            if key == "$ref"
            else _with_local_references(value)
            for key, value in node.items()
        }
    return node


def text() -> str:
    """The document as JSON, as the file holds it."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def is_current() -> bool:
    """Whether the file matches the contracts."""
    return FILE.exists() and FILE.read_text() == text()
