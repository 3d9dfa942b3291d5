"""A foreign subscriber that hears every event, and what it finds wrong in what it heard."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelInvalidStateError

from cartwright.access import ORDERED, QUORUM
from suite.instance import Instance

QUEUE = "ext.recorder.events"
# By this name of its connection a test finds it, to close it.
CONNECTION = "recorder"


@dataclass
class Recorder:
    """What was heard: numbers by (source, subject), and each event's id by what caused it.

    repeats: how many events were heard again; a subscriber must expect that.
    """

    heard: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    bodies: list[bytes] = field(default_factory=list)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    repeats: int = 0
    _ids: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _effects: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _rivals: list[str] = field(default_factory=list)

    def note(self, source: str, subject: str, sequence: int, body: bytes) -> None:
        """Remember one event."""
        self.heard[source, subject].append(sequence)
        self.bodies.append(body)

    def hear(self, message: AbstractIncomingMessage) -> None:
        """Remember one event with all that its envelope tells."""
        told = {name.partition(":")[2]: str(value) for name, value in message.headers.items()}
        event = (told["source"], told["subject"], int(told["sequence"]))
        known = self._ids.setdefault(event, told["id"])
        if known != told["id"]:
            self._rivals.append(f"{event} is two events: {known}, {told['id']}")
        self.repeats += event[2] in self.heard[event[:2]]
        if cause := told.get("causationid"):
            self._effects[told["type"], told["subject"], cause].add(told["id"])
        self.note(*event, message.body)

    def gaps(self) -> list[str]:
        """Aggregates whose distinct numbers are not 1, 2, … without a hole."""
        return [
            f"{source} {subject}: heard {sorted(set(numbers))}"
            for (source, subject), numbers in self.heard.items()
            if sorted(set(numbers)) != list(range(1, len(set(numbers)) + 1))
        ]

    def inversions(self) -> list[str]:
        """Aggregates of which a number was first heard after a later one."""
        found = []
        for (source, subject), numbers in self.heard.items():
            first = list(dict.fromkeys(numbers))
            if first != sorted(first):
                found.append(f"{source} {subject}: heard in the order {first}")
        return found

    def last(self, source: str, subject: str) -> int:
        """The highest number heard of an aggregate, 0 when nothing was."""
        return max(self.heard.get((source, subject), [0]))

    def doubled(self) -> list[str]:
        """Effects said twice: two events of one type and subject with the same cause."""
        return [
            *self._rivals,
            *(
                f"{kind} of {subject} was said {len(ids)} times because of {cause}"
                for (kind, subject, cause), ids in self._effects.items()
                if len(ids) > 1
            ),
        ]


@contextmanager
def recording(instance: Instance) -> Iterator[Recorder]:
    """Hear every event on a queue of its own, in a thread of its own."""
    heard = Recorder()
    stop, ready = threading.Event(), threading.Event()

    async def listen() -> None:
        connection = await aio_pika.connect_robust(
            instance.broker_url(), client_properties={"connection_name": CONNECTION}
        )
        channel = await connection.channel()
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={**QUORUM, ORDERED: True}
        )
        await queue.bind("events", "#")
        # What was said between two runs would look like histories without a beginning.
        await queue.purge()

        async def note(message: AbstractIncomingMessage) -> None:
            heard.deliver(message)
            # Where the connection is gone, the broker delivers it again.
            with suppress(ChannelInvalidStateError):
                await message.ack()

        await queue.consume(note)
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.1)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    assert ready.wait(30), "the recorder never came up"
    try:
        yield heard
    finally:
        stop.set()
        thread.join(10)
