"""The broker's topology, derived from the messages that services handle and send."""

import importlib.util
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from provision import broker
from provision.broker import VHOST
from suite import operator_topology
from suite.secrets import Secrets

TRACKED = Path("deploy/rabbitmq/definitions.json")
CONSUMERS = Path("libs/contracts/contracts/consumers.json")
TIERS = 4
# Practically unlimited: the broker counts lost connections as deliveries, which is no fault of the
# message; the consumer counts failed attempts. RabbitMQ 4 defaults to 20, and 3.10 has no value for
# "unlimited".
DELIVERY_LIMIT = 1_000_000_000
# Snapshots are bound by the name of the requester's queue, not by their type.
EXCHANGE_OF = {"event": "events", "command": "commands"}
SNAPSHOTS = "snapshots"


class MessageClass(Protocol):
    """The part of a contract's message class that the topology uses."""

    kind: str
    senders: tuple[str, ...]

    def routing_key(self) -> str:
        """Return owner and name: `orders.OrderPlaced`."""
        ...

    def type_name(self) -> str:
        """Return the type: `cartwright.orders.OrderPlaced.v1`."""
        ...


def definitions(
    handled: Mapping[str, Iterable[MessageClass]],
    commands: Iterable[MessageClass],
    snapshot_owners: Collection[str] = (),
) -> dict[str, Any]:
    """Return the tracked definitions, from the messages handled by each service and all commands.

    snapshot_owners: the services that publish snapshots of what they own on request.
    """
    services = sorted(handled)
    allowed = {
        name: [command.routing_key() for command in commands if name in command.senders]
        for name in services
    }
    return {
        "vhosts": [{"name": VHOST}],
        "permissions": [
            _permission(name, sends_snapshots=name in snapshot_owners) for name in services
        ],
        "topic_permissions": [
            entry for name in services for entry in _topic_permissions(name, allowed[name])
        ],
        "policies": [policy for name in services for policy in _policies(name)] + [_log_policy()],
        "exchanges": [
            _exchange("commands", "topic"),
            _exchange("events", "topic"),
            _exchange(SNAPSHOTS, "direct"),
            *(_exchange(f"svc.{name}.retry", "direct") for name in services),
        ],
        "queues": [queue for name in services for queue in _queues(name)]
        + [_queue("events.log", "stream")],
        "bindings": [binding for name in services for binding in _bindings(name, handled[name])]
        + [_binding("events", "events.log", "#")],
    }


def of_repository(services: Iterable[str]) -> dict[str, Any]:
    """Return the definitions from every service's bus and the contracts' senders of commands."""
    contracts = importlib.import_module("contracts.registry").all_messages().values()
    commands = [message for message in contracts if message.kind == "command"]
    owners = {m.routing_key().partition(".")[0] for m in contracts if m.kind == "snapshot"}
    return definitions({name: _handled(name) for name in services}, commands, owners)


def _handled(service: str) -> list[MessageClass]:
    """Return the messages that the service's bus handles; none for a service without handlers."""
    if importlib.util.find_spec(f"{service}.handlers") is None:
        return []
    return list(importlib.import_module(f"{service}.handlers").bus.handled)


def consumers(services: Iterable[str]) -> dict[str, list[str]]:
    """Return the services that handle each message, by its type name."""
    found: dict[str, list[str]] = {}
    for service in sorted(services):
        for message in _handled(service):
            found.setdefault(message.type_name(), []).append(service)
    return dict(sorted(found.items()))


def files(services: Sequence[str]) -> dict[Path, str]:
    """Return the tracked files that are derived from the services: topology and consumers."""
    by_message = json.dumps(consumers(services), indent=2) + "\n"
    current = of_repository(services)
    objects = operator_topology.as_text(operator_topology.objects(current))
    return {TRACKED: as_text(current), CONSUMERS: by_message, operator_topology.TRACKED: objects}


def with_users(root: Path, services: Iterable[str], secrets: Secrets) -> dict[str, Any]:
    """Return the tracked definitions with a user for each service of an instance."""
    names = [broker.ADMIN, *services]
    passwords = {name: secrets[f"broker:{name}"] for name in names}
    return broker.add_users(json.loads((root / TRACKED).read_text()), passwords)


def outdated(root: Path, current: Mapping[Path, str]) -> list[Path]:
    """Return the files that are missing or differ."""
    return [
        file
        for file, text in current.items()
        if not (root / file).exists() or (root / file).read_text() != text
    ]


def as_text(entries: dict[str, Any]) -> str:
    """Format definitions with one entry per line, so that a diff shows the changed entries."""
    sections = []
    for section, rows in entries.items():
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        sections.append(f'  "{section}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _permission(name: str, *, sends_snapshots: bool) -> dict[str, Any]:
    own = rf"svc\.{name}(\..*)?"
    shared = "events|commands"
    snapshots = f"|{SNAPSHOTS}" if sends_snapshots else ""
    return {
        "user": name,
        "vhost": VHOST,
        "configure": f"^{own}$",
        "write": f"^({own}|{shared}{snapshots})$",
        # A replay reads the log of events; every service may bind to all of its events anyway.
        "read": rf"^({own}|{shared}|events\.log)$",
    }


def _topic_permissions(name: str, may_send: Sequence[str]) -> list[dict[str, Any]]:
    """Allow a service to publish its own events, send its commands, and bind to its messages."""
    keys = "|".join(sorted(key.replace(".", r"\.") for key in may_send))
    entry = {"user": name, "vhost": VHOST}
    return [
        {**entry, "exchange": "events", "write": rf"^{name}\.", "read": ".*"},
        # An empty pattern would mean "everything"; this one matches nothing.
        {
            **entry,
            "exchange": "commands",
            "write": f"^({keys})$" if keys else "^$",
            "read": rf"^{name}\.",
        },
    ]


def _policies(name: str) -> list[dict[str, Any]]:
    """Set limits by policies, not arguments, so that they can change on existing queues."""
    never_lose = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    work = {
        "delivery-limit": DELIVERY_LIMIT,
        "dead-letter-exchange": f"svc.{name}.retry",
        "dead-letter-routing-key": "dead",
    }
    retry = {"dead-letter-exchange": "", "dead-letter-routing-key": f"svc.{name}"}
    return [
        _policy(f"svc.{name}", rf"^svc\.{name}$", work | never_lose),
        _policy(f"svc.{name}.retry", rf"^svc\.{name}\.retry\.\d+$", retry | never_lose),
        _policy(f"svc.{name}.dead", rf"^svc\.{name}\.dead$", {"delivery-limit": DELIVERY_LIMIT}),
    ]


def _log_policy() -> dict[str, Any]:
    return _policy("events.log", r"^events\.log$", {"max-age": "90D"})


def _policy(name: str, pattern: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "vhost": VHOST,
        "name": name,
        "pattern": pattern,
        "apply-to": "queues",
        "priority": 0,
        "definition": definition,
    }


def _exchange(name: str, kind: str) -> dict[str, Any]:
    flags = {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    return {"name": name, "vhost": VHOST, "type": kind, **flags}


def _queues(name: str) -> list[dict[str, Any]]:
    names = [f"svc.{name}", *_tiers(name), f"svc.{name}.dead"]
    return [_queue(each, "quorum") for each in names]


def _queue(name: str, kind: str) -> dict[str, Any]:
    flags = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": kind}}
    return {"name": name, "vhost": VHOST, **flags}


def _bindings(name: str, handled: Iterable[MessageClass]) -> list[dict[str, Any]]:
    handled = list(handled)
    bound = sorted(
        (EXCHANGE_OF[message.kind], message.routing_key())
        for message in handled
        if message.kind in EXCHANGE_OF
    )
    if any(message.kind == "snapshot" for message in handled):
        bound.append((SNAPSHOTS, f"svc.{name}"))
    retry = f"svc.{name}.retry"
    return [
        *(_binding(exchange, f"svc.{name}", key) for exchange, key in bound),
        *(_binding(retry, queue, queue.rpartition(".")[2]) for queue in _tiers(name)),
        # A redrive publishes to this queue alone.
        _binding(retry, f"svc.{name}", "work"),
        _binding(retry, f"svc.{name}.dead", "dead"),
    ]


def _tiers(name: str) -> list[str]:
    return [f"svc.{name}.retry.{tier}" for tier in range(1, TIERS + 1)]


def _binding(source: str, destination: str, key: str) -> dict[str, Any]:
    return {
        "source": source,
        "vhost": VHOST,
        "destination": destination,
        "destination_type": "queue",
        "routing_key": key,
        "arguments": {},
    }
