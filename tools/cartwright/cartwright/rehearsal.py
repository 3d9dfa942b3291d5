"""Test histories for a subscriber: sent duplicated, late and reordered, then compared."""

import asyncio
import json
import random
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aio_pika

from cartwright.refusals import Refusal
from contracts import structured
from contracts.catalogue import Entry
from contracts.envelope import Envelope
from subscriber.queues import WORK, Names

TestEvent = tuple[Envelope, bytes]

# Seconds between two runs of the probe, which may be a program that starts slowly.
PROBE_INTERVAL = 0.5
MILLISECOND = 1000


def changes(pairs: Iterable[str]) -> dict[str, Any]:
    """Read `NAME=JSON` pairs; text needs no quotes. Raises Refusal on a pair without `=`."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Refusal(f"--set {pair}: write NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def event_of(entry: Entry, fields: dict[str, Any], sequence: int) -> TestEvent:
    """Build an event from its example, with a new id; raises ValueError for invalid fields."""
    envelope, _ = structured.read(entry.example)
    event = entry.message.model_validate_json(json.dumps(entry.data | fields))
    now = datetime.now(UTC)
    return replace(
        envelope,
        id=_uuid7(now),
        subject=event.subject(),
        correlation_id=event.subject(),
        time=now,
        sequence=sequence,
    ), event.encode()


def _uuid7(now: datetime) -> UUID:
    milliseconds = int(now.timestamp() * MILLISECOND)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (uuid4().int & ((1 << 76) - 1)))


async def send(url: str, queue: str, events: Sequence[TestEvent]) -> None:
    """Publish events to the user's own queue, in this order, through its retry exchange."""
    names = Names(_system_of(url), queue)
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(names.retry, ensure=False)
        for envelope, data in events:
            message = aio_pika.Message(
                data,
                headers=dict(envelope.headers()),
                message_id=str(envelope.id),
                type=envelope.type,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, routing_key=WORK, mandatory=True, timeout=10)


def _system_of(url: str) -> str:
    user = urlsplit(url).username or ""
    if not user.startswith("ext."):
        raise Refusal("that is not the user of another system: `cartwright subscriber add NAME`.")
    return user.removeprefix("ext.")


@dataclass(frozen=True, slots=True)
class Result:
    """The subscriber's state after one history: the probe's output without the subject."""

    name: str
    state: str
    is_equal: bool


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One history, sent to a running subscriber in every variant. `within` is in seconds."""

    url: str
    queue: str
    entries: Sequence[Entry]
    probe: str
    within: float
    seed: int

    async def all(self, begin: Callable[[str], None]) -> list[Result]:
        """Send the plain history, then every variant, whose state must equal the plain one's."""
        begin("plain")
        subject, events = self._history()
        initial = await self._state(subject)
        await send(self.url, self.queue, events)
        plain = await self._settled(subject, initial)
        results = [Result("plain", plain, is_equal=plain != initial)]
        for name, vary in VARIANTS.items():
            begin(name)
            subject, events = self._history()
            shuffle = random.Random(self.seed)  # noqa: S311
            for part in vary(events, shuffle):
                await send(self.url, self.queue, part)
            state = await self._until(subject, lambda state: _is(state, plain))
            # Equal once is not enough: events that are still in the queue may change it.
            final = await self._stable(subject) if state == plain else state
            results.append(Result(name, final, is_equal=final == plain))
        return results

    def _history(self) -> tuple[str, list[TestEvent]]:
        subject = str(_uuid7(datetime.now(UTC)))
        field = self.entries[0].message.subject_field
        return subject, [
            event_of(entry, {field: subject}, number)
            for number, entry in enumerate(self.entries, start=1)
        ]

    async def _settled(self, subject: str, initial: str) -> str:
        """The state once it differs from the initial one and is stable."""
        await self._until(subject, lambda state: _is_not(state, initial))
        return await self._stable(subject)

    async def _stable(self, subject: str) -> str:
        """The state once two probes agree and the queue is empty."""
        before = await self._state(subject)

        async def unchanged(state: str) -> bool:
            nonlocal before
            same, before = state == before, state
            return same and await self._is_empty()

        return await self._until(subject, unchanged)

    async def _until(self, subject: str, condition: Callable[[str], Awaitable[bool]]) -> str:
        """The state once a condition holds, or the last one when the time is over."""
        deadline = asyncio.get_running_loop().time() + self.within
        while True:
            state = await self._state(subject)
            if await condition(state) or asyncio.get_running_loop().time() > deadline:
                return state
            await asyncio.sleep(PROBE_INTERVAL)

    async def _state(self, subject: str) -> str:
        command = self.probe.replace("{subject}", shlex.quote(subject).strip("'"))
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode:
            raise Refusal(f"the probe failed: {err.decode(errors='replace').strip()}")
        return out.decode(errors="replace").replace(subject, "SUBJECT")

    async def _is_empty(self) -> bool:
        names = Names(_system_of(self.url), self.queue)
        connection = await aio_pika.connect(self.url)
        async with connection:
            channel = await connection.channel()
            tiers = [names.tier(number) for number in range(1, 4)]
            found = [await channel.get_queue(name) for name in (names.work, *tiers)]
            return not any(queue.declaration_result.message_count for queue in found)


async def _is(state: str, wanted: str) -> bool:
    return state == wanted


async def _is_not(state: str, wanted: str) -> bool:
    return state != wanted


Variant = Callable[[list[TestEvent], random.Random], Sequence[Sequence[TestEvent]]]


def _duplicates(events: list[TestEvent], _: random.Random) -> Sequence[Sequence[TestEvent]]:
    """Each event twice in a row."""
    return [[each for each in events for _ in range(2)]]


def _late(events: list[TestEvent], _: random.Random) -> Sequence[Sequence[TestEvent]]:
    """The whole history, then all of it again in reverse."""
    return [events, list(reversed(events))]


def _reordered(events: list[TestEvent], _: random.Random) -> Sequence[Sequence[TestEvent]]:
    """Every event once, the newest first."""
    return [list(reversed(events))]


def _shuffled(events: list[TestEvent], shuffle: random.Random) -> Sequence[Sequence[TestEvent]]:
    """Every event three times, in any order."""
    return [shuffle.sample(events * 3, len(events) * 3)]


VARIANTS: dict[str, Variant] = {
    "duplicates": _duplicates,
    "late repeats": _late,
    "reordered": _reordered,
    "all at once": _shuffled,
}
