"""The broker's tracked topology as objects of RabbitMQ's Topology Operator."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from provision.broker import VHOST

TRACKED = Path("deploy/k8s/components/rabbitmq-operator/topology.yaml")
CLUSTER = {"name": "rabbitmq"}
Row = Mapping[str, Any]


def objects(definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one object per entry of the definitions, and a user per permission."""
    users = [row["user"] for row in definitions["permissions"]]
    return [
        _object("Vhost", VHOST, {"name": VHOST}),
        *(_user(name) for name in users),
        *(_permission(row) for row in definitions["permissions"]),
        *(_topic_permission(row) for row in definitions["topic_permissions"]),
        *(_policy(row) for row in definitions["policies"]),
        *(_exchange(row) for row in definitions["exchanges"]),
        *(_queue(row) for row in definitions["queues"]),
        *(_binding(row) for row in definitions["bindings"]),
    ]


def as_text(found: Iterable[dict[str, Any]]) -> str:
    """Format one object per line: JSON is YAML, and a diff shows the changed objects."""
    head = "# Written by `make topology` from deploy/rabbitmq/definitions.json.\n"
    return head + "".join(f"---\n{json.dumps(each)}\n" for each in found)


def _object(kind: str, name: str, spec: Row) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return {
        "apiVersion": "rabbitmq.com/v1beta1",
        "kind": kind,
        "metadata": {"name": slug},
        "spec": {**spec, "rabbitmqClusterReference": CLUSTER},
    }


def _user(name: str) -> dict[str, Any]:
    return _object("User", name, {"importCredentialsSecret": {"name": f"{name}-broker"}})


def _permission(row: Row) -> dict[str, Any]:
    rights = {right: row[right] for right in ("configure", "write", "read")}
    spec = {"vhost": VHOST, "user": row["user"], "permissions": rights}
    return _object("Permission", row["user"], spec)


def _topic_permission(row: Row) -> dict[str, Any]:
    rights = {right: row[right] for right in ("exchange", "write", "read")}
    spec = {"vhost": VHOST, "user": row["user"], "permissions": rights}
    return _object("TopicPermission", f"{row['user']}-{row['exchange']}", spec)


def _policy(row: Row) -> dict[str, Any]:
    spec = {key: row[key] for key in ("name", "vhost", "pattern", "priority", "definition")}
    return _object("Policy", row["name"], {**spec, "applyTo": row["apply-to"]})


def _exchange(row: Row) -> dict[str, Any]:
    spec = {key: row[key] for key in ("name", "vhost", "type", "durable")}
    return _object("Exchange", row["name"], {**spec, "autoDelete": row["auto_delete"]})


def _queue(row: Row) -> dict[str, Any]:
    spec = {key: row[key] for key in ("name", "vhost", "durable")}
    kind = row["arguments"]["x-queue-type"]
    return _object("Queue", row["name"], {**spec, "type": kind, "autoDelete": row["auto_delete"]})


def _binding(row: Row) -> dict[str, Any]:
    spec = {key: row[key] for key in ("vhost", "source", "destination")}
    ends = {"destinationType": row["destination_type"], "routingKey": row["routing_key"]}
    name = f"{row['destination']}-{row['source']}-{row['routing_key'].replace('#', 'all')}"
    return _object("Binding", name, {**spec, **ends})
