"""Every (service, step) there is, read off the saga's table and the broker's bindings.

A step is a message that a service receives or publishes for a checkout. What the table's moves send is
found by making each of them; its receivers are found in the tracked topology.
"""

import json
from pathlib import Path

from saga_play import NOW, an_order, message

from contracts import registry
from contracts.message import Command, Message
from failures import Failure
from orders.saga.table import MOVES
from suite.repository import ROOT
from suite.topology import TRACKED
from testkit.crash_points import Point

PUBLISHED = (Point.BEFORE_COMMIT, Point.BEFORE_PUBLISH, Point.AFTER_PUBLISH)
RECEIVED = (Point.BEFORE_COMMIT, Point.BEFORE_ACK)
CALLED = (Point.BEFORE_CALL, Point.AFTER_CALL)


def replies() -> list[type[Message]]:
    """The messages that sagas receive."""
    return sorted(
        {trigger for _, trigger in MOVES if issubclass(trigger, Message)},
        key=lambda kind: kind.__name__,
    )


def sent() -> list[type[Message]]:
    """What the sagas send: each move of the table is made once."""
    found: set[type[Message]] = set()
    for (_, trigger), moves in MOVES.items():
        for move in moves:
            order = an_order(coupon=True)
            order.progress.allocations = []
            order.captured_amount = order.total_amount
            found |= {type(each) for each in move.step(order, message(trigger, order), NOW)}
    return sorted(found, key=lambda kind: kind.__name__)


def listeners(root: Path = ROOT) -> dict[str, list[str]]:
    """Which services' work queues are bound to a routing key."""
    found: dict[str, list[str]] = {}
    for each in json.loads((root / TRACKED).read_text())["bindings"]:
        kind, _, service = each["destination"].partition(".")
        if kind == "svc" and "." not in service and each["source"] in ("events", "commands"):
            found.setdefault(each["routing_key"], []).append(service)
    return found


def pairs() -> list[tuple[str, str, str]]:
    """(service, `receives` or `publishes`, routing key), of everything that serves a checkout."""
    registry.all_messages()
    bound = listeners()
    found = set()
    for kind in {*replies(), *sent()}:
        key = kind.routing_key()
        producer = "orders" if issubclass(kind, Command) else kind.owner()
        found.add((producer, "publishes", key))
        found |= {(service, "receives", key) for service in bound.get(key, ())}
    return sorted(found)


def points() -> list[Failure]:
    """Every place where a service may crash for a step's sake."""
    found = set()
    for service, how, key in pairs():
        at: tuple[Point, ...] = PUBLISHED if how == "publishes" else RECEIVED
        if how == "receives" and service == "payments":
            at = (*RECEIVED, *CALLED)
        found |= {Failure(service, point, key) for point in at}
    return sorted(found)


def main() -> None:
    """Print the pairs and how many points they make."""
    for service, how, key in pairs():
        print(f"{service:14} {how:6} {key}")
    print(f"{len(pairs())} pairs, {len(points())} crash points")


if __name__ == "__main__":
    main()
