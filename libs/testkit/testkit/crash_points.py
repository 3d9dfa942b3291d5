"""Crash points: named places between two effects where a test makes a service's process fail.

The services know nothing of them. A test starts a service with `environment(folder)`; `install`
then wraps the functions of the chassis between the effects, as the process starts. Without one of
these functions it fails, so that no point goes missing in silence.

A point fails once for each file `<service>/<point>/<message>.crash` (SIGKILL), `.freeze` (SIGSTOP)
or `.raise` (an exception) in the folder; the failing process deletes the file, so that one file
causes one failure in any number of processes. Every point passed is logged in the folder's
`passed.log`: service, point, message.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from chassis import inbox, outbox
from chassis.messaging.incoming import Delivery
from chassis.messaging.relay import Relay
from chassis.service import Running, Service
from testkit import at_start

FOLDER = "CRASH_POINTS"
INSTALL = f"{__name__}:install"
LOG = "passed.log"
# What a transaction's `info` holds: the crash points of its service, and the messages it handles.
POINTS, HANDLED = "crash points", "handled messages"

Patch = Callable[[Any, str, Any], None]


class Point(StrEnum):
    """Where a process may fail, for a message that it handles or publishes (by routing key)."""

    BEFORE_COMMIT = "before_commit"
    """Effects and answers are written; nothing is committed."""
    BEFORE_PUBLISH = "before_publish"
    """Committed; the relay has read the message and not published it."""
    AFTER_PUBLISH = "after_publish"
    """The broker has confirmed the message, which is still in the outbox."""
    BEFORE_ACK = "before_ack"
    """The effect of a message is committed; it is not acknowledged."""
    BEFORE_CALL = "before_call"
    """The attempt is recorded; the external system was not called."""
    AFTER_CALL = "after_call"
    """The external system has answered; the answer is not recorded."""


class Failed(Exception):
    """A crash point failed by an exception."""


_keys: ContextVar[dict[UUID, str]] = ContextVar("routing keys of the deliveries, by message id")


def environment(folder: Path) -> dict[str, str]:
    """The variables by which a service fails as the folder orders."""
    return {**at_start.environment(INSTALL), FOLDER: str(folder)}


def install(patch: Patch = setattr) -> None:
    """Give crash points to every service that this process composes from now on."""
    folder, compose = Path(os.environ[FOLDER]), Service.compose

    def composed(service: Service[Any], settings: Any) -> Running[Any]:
        running = compose(service, settings)
        ServicePoints(folder, service.name).watch(service, running, patch)
        return running

    patch(Service, "compose", composed)
    patch(inbox, "insert_new", partial(_insert_new, inbox.insert_new))
    patch(outbox, "write", partial(_write, outbox.write))


@dataclass(frozen=True)
class ServicePoints:
    """The crash points of one service, which fail as the folder orders."""

    folder: Path
    service: str

    def reached(self, point: Point, messages: Iterable[str]) -> None:
        """Fail if there is a file for one of the messages."""
        names = list(messages)
        if not names:
            return
        with (self.folder / LOG).open("a") as log:
            log.write("".join(f"{self.service} {point} {name}\n" for name in names))
        place = self.folder / self.service / point
        for name in names:
            if _consume(place / f"{name}.crash"):
                os.kill(os.getpid(), signal.SIGKILL)
            if _consume(place / f"{name}.freeze"):
                os.kill(os.getpid(), signal.SIGSTOP)
            if _consume(place / f"{name}.raise"):
                raise Failed(f"{point} {name}")

    def watch(self, service: Service[Any], running: Running[Any], patch: Patch) -> None:
        """Wrap the functions between the effects of a composed service.

        The bus outlives a composition: its class has the function that no earlier one has wrapped.
        """
        bus, database = service.bus, running.database
        patch(bus, "receive", partial(self._receive, bus))
        patch(bus, "receive_external", partial(self._receive_external, bus))
        patch(database, "transaction", partial(self._transaction, database.transaction))
        self.watch_relay(running.relay, patch)

    def watch_relay(self, relay: Relay, patch: Patch) -> None:
        """Wrap the publishing of a relay."""
        publish_all = relay._publish_all  # noqa: SLF001
        patch(relay, "_publish_all", partial(self._publish_all, publish_all))

    async def _receive(self, bus: Any, database: Any, deliveries: Sequence[Delivery]) -> None:
        _keys.set({each.envelope.id: each.key for each in deliveries})
        await type(bus).receive(bus, database, deliveries)
        self.reached(Point.BEFORE_ACK, (each.key for each in deliveries))

    async def _receive_external(self, bus: Any, database: Any, delivery: Delivery) -> None:
        kind = type(delivery.message)
        call = WatchedCall(self, bus.external_calls[kind], delivery.key)
        watched = replace(bus, external_calls={kind: call})
        _keys.set({delivery.envelope.id: delivery.key})
        await watched.receive_external(database, delivery)
        self.reached(Point.BEFORE_ACK, [delivery.key])

    async def _publish_all(self, publish_all: Any, channel: Any, rows: Sequence[Any]) -> Any:
        keys = [row["routing_key"] for row in rows]
        self.reached(Point.BEFORE_PUBLISH, keys)
        results = await publish_all(channel, rows)
        self.reached(Point.AFTER_PUBLISH, keys)
        return results

    @asynccontextmanager
    async def _transaction(self, transaction: Any) -> AsyncIterator[Any]:
        async with transaction() as tx:
            tx.info[POINTS] = self
            yield tx


@dataclass(frozen=True)
class WatchedCall:
    """An external call between two crash points."""

    points: ServicePoints
    handler: Any
    key: str

    def __getattr__(self, name: str) -> Any:
        """Record and finish as the handler does."""
        return getattr(self.handler, name)

    async def call(self, plan: Any) -> Any:
        """Call the external system."""
        self.points.reached(Point.BEFORE_CALL, [self.key])
        outcome = await self.handler.call(plan)
        self.points.reached(Point.AFTER_CALL, [self.key])
        return outcome


async def _insert_new(
    insert_new: Any, session: Any, consumer: str, ids: Sequence[UUID]
) -> set[UUID]:
    new: set[UUID] = await insert_new(session, consumer, ids)
    session.info[HANDLED] = [key for each, key in _keys.get({}).items() if each in new]
    return new


async def _write(write: Any, session: Any) -> Any:
    published = await write(session)
    if (points := session.info.get(POINTS)) is not None:
        keys = [message.routing_key() for message in published]
        points.reached(Point.BEFORE_COMMIT, [*session.info.pop(HANDLED, ()), *keys])
    return published


def _consume(failure: Path) -> bool:
    """Delete the file; True for the one process that found it."""
    try:
        failure.unlink()
    except FileNotFoundError:
        return False
    return True
