"""An external subscriber that receives every event, and the faults it finds in them."""

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
    """What was received: numbers by (source, subject), and each event's id by its cause.

    repeats: how many events were received again; a subscriber must expect that.
    """

    received: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    bodies: list[bytes] = field(default_factory=list)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    repeats: int = 0
    _ids: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _effects: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _rivals: list[str] = field(default_factory=list)

    def note(self, source: str, subject: str, sequence: int, body: bytes) -> None:
        """Remember one event."""
        self.received[source, subject].append(sequence)
        self.bodies.append(body)

    def receive(self, message: AbstractIncomingMessage) -> None:
        """Record one event with the attributes of its envelope."""
        attributes = {name.partition(":")[2]: str(value) for name, value in message.headers.items()}
        event = (attributes["source"], attributes["subject"], int(attributes["sequence"]))
        known = self._ids.setdefault(event, attributes["id"])
        if known != attributes["id"]:
            self._rivals.append(f"{event} is two events: {known}, {attributes['id']}")
        self.repeats += event[2] in self.received[event[:2]]
        if cause := attributes.get("causationid"):
            self._effects[attributes["type"], attributes["subject"], cause].add(attributes["id"])
        self.note(*event, message.body)

    def gaps(self) -> list[str]:
        """Aggregates whose distinct numbers are not 1, 2, … without a hole."""
        return [
            f"{source} {subject}: received {sorted(set(numbers))}"
            for (source, subject), numbers in self.received.items()
            if sorted(set(numbers)) != list(range(1, len(set(numbers)) + 1))
        ]

    def inversions(self) -> list[str]:
        """Aggregates of which a number was first received after a later one."""
        found = []
        for (source, subject), numbers in self.received.items():
            first = list(dict.fromkeys(numbers))
            if first != sorted(first):
                found.append(f"{source} {subject}: received in the order {first}")
        return found

    def last(self, source: str, subject: str) -> int:
        """The highest number received of an aggregate, 0 without one."""
        return max(self.received.get((source, subject), [0]))

    def doubled(self) -> list[str]:
        """Effects published twice: two events of one type and subject with the same cause."""
        return [
            *self._rivals,
            *(
                f"{kind} of {subject} was published {len(ids)} times because of {cause}"
                for (kind, subject, cause), ids in self._effects.items()
                if len(ids) > 1
            ),
        ]


@contextmanager
def recording(instance: Instance) -> Iterator[Recorder]:
    """Receive every event on a queue of its own, in a thread of its own."""
    received = Recorder()
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
        # Events published between two runs would look like histories without a beginning.
        await queue.purge()

        async def note(message: AbstractIncomingMessage) -> None:
            received.receive(message)
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
        yield received
    finally:
        stop.set()
        thread.join(10)
