"""The broker's topology, worked out from the messages the services handle and send."""

import importlib.util
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from provision.broker import VHOST
from suite import operator_topology
from suite.definitions import TRACKED

CONSUMERS = Path("libs/contracts/contracts/consumers.json")
TIERS = 4
# As good as none: the broker counts every lost connection, and that says nothing of a message. The
# consumer counts the ends of its handling. RabbitMQ 4 has a limit of 20 where none is set, and 3.10
# has no word for none.
DELIVERY_LIMIT = 1_000_000_000
# Snapshots are bound by the name of the asker's queue, not by what they are.
EXCHANGE_OF = {"event": "events", "command": "commands"}
SNAPSHOTS = "snapshots"


class MessageClass(Protocol):
    """What the topology needs to know of a message class of the contracts."""

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
    tellers: Collection[str] = (),
) -> dict[str, Any]:
    """Return the tracked definitions: `handled` by service, and every command there is.

    tellers: the services that tell an asker the present state of what they own.
    """
    services = sorted(handled)
    allowed = {
        name: [command.routing_key() for command in commands if name in command.senders]
        for name in services
    }
    return {
        "vhosts": [{"name": VHOST}],
        "permissions": [_permission(name, tells=name in tellers) for name in services],
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
    """Ask every service's bus what it handles, and the contracts who may send which command."""
    contracts = importlib.import_module("contracts.registry").all_messages().values()
    commands = [message for message in contracts if message.kind == "command"]
    tellers = {m.routing_key().partition(".")[0] for m in contracts if m.kind == "snapshot"}
    return definitions({name: _handled(name) for name in services}, commands, tellers)


def _handled(service: str) -> list[MessageClass]:
    """Return what the service's bus handles; a service without handlers hears nothing."""
    if importlib.util.find_spec(f"{service}.handlers") is None:
        return []
    return list(importlib.import_module(f"{service}.handlers").bus.handled)


def consumers(services: Iterable[str]) -> dict[str, list[str]]:
    """Return which services hear each message, by its type name: the catalogue shows it."""
    heard: dict[str, list[str]] = {}
    for service in sorted(services):
        for message in _handled(service):
            heard.setdefault(message.type_name(), []).append(service)
    return dict(sorted(heard.items()))


def files(services: Sequence[str]) -> dict[Path, str]:
    """Return the tracked files that follow from the services: the topology, and who hears what."""
    heard = json.dumps(consumers(services), indent=2) + "\n"
    current = of_repository(services)
    objects = operator_topology.as_text(operator_topology.objects(current))
    return {TRACKED: as_text(current), CONSUMERS: heard, operator_topology.TRACKED: objects}


def outdated(root: Path, current: Mapping[Path, str]) -> list[Path]:
    """Return those of the files that are missing or hold something else."""
    return [
        file
        for file, text in current.items()
        if not (root / file).exists() or (root / file).read_text() != text
    ]


def as_text(entries: dict[str, Any]) -> str:
    """Lay the file out with one entry a line, so that a change shows as the lines it concerns."""
    sections = []
    for section, rows in entries.items():
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        sections.append(f'  "{section}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _permission(name: str, *, tells: bool) -> dict[str, Any]:
    own = rf"svc\.{name}(\..*)?"
    shared = "events|commands"
    told = f"|{SNAPSHOTS}" if tells else ""
    return {
        "user": name,
        "vhost": VHOST,
        "configure": f"^{own}$",
        "write": f"^({own}|{shared}{told})$",
        # The log of events is read for a replay; it holds what every service may bind to anyway.
        "read": rf"^({own}|{shared}|events\.log)$",
    }


def _topic_permissions(name: str, may_send: Sequence[str]) -> list[dict[str, Any]]:
    """Let a service say its own events, send its own commands, and bind to what concerns it."""
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
    """Limits are policies and not arguments, so that they can change under live queues."""
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
    heard = sorted(
        (EXCHANGE_OF[message.kind], message.routing_key())
        for message in handled
        if message.kind in EXCHANGE_OF
    )
    if any(message.kind == "snapshot" for message in handled):
        heard.append((SNAPSHOTS, f"svc.{name}"))
    retry = f"svc.{name}.retry"
    return [
        *(_binding(exchange, f"svc.{name}", key) for exchange, key in heard),
        *(_binding(retry, queue, queue.rpartition(".")[2]) for queue in _tiers(name)),
        # An operator's way into this one queue: what is handed in again reaches nobody else.
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
