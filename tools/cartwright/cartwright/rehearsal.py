"""Sending made-up histories to one queue in awkward ways, and comparing what comes of them."""

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

Made = tuple[Envelope, bytes]

# Seconds between two questions to the probe, which may be a program that starts slowly.
PAUSE = 0.5
MILLISECOND = 1000


def changes(pairs: Iterable[str]) -> dict[str, Any]:
    """`NAME=JSON` pairs as fields; text needs no quotes. Raises Refusal on one without `=`."""
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


def event_of(entry: Entry, fields: dict[str, Any], sequence: int) -> Made:
    """An event made from its example, with an id of its own; raises ValueError when it is none."""
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


async def send(url: str, queue: str, events: Sequence[Made]) -> None:
    """Put events into one's own queue, in this order, through its own exchange."""
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
    """What a reader made of one history: the probe's words, with the subject left out."""

    name: str
    state: str
    is_equal: bool


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One history sent in every way to a running subscriber. `within` is in seconds."""

    url: str
    queue: str
    entries: Sequence[Entry]
    probe: str
    within: float
    seed: int

    async def all(self, begin: Callable[[str], None]) -> list[Result]:
        """Send the plain history, then every other way; the plain one's end is the measure."""
        begin("plain")
        subject, events = self._history()
        untouched = await self._state(subject)
        await send(self.url, self.queue, events)
        plain = await self._settled(subject, untouched)
        results = [Result("plain", plain, is_equal=plain != untouched)]
        for name, way in WAYS.items():
            begin(name)
            subject, events = self._history()
            shuffle = random.Random(self.seed)  # noqa: S311
            for part in way(events, shuffle):
                await send(self.url, self.queue, part)
            state = await self._until(subject, lambda state: _is(state, plain))
            # Equal once is not enough: what is still on its way may spoil it.
            again = await self._stays(subject) if state == plain else state
            results.append(Result(name, again, is_equal=again == plain))
        return results

    def _history(self) -> tuple[str, list[Made]]:
        subject = str(_uuid7(datetime.now(UTC)))
        field = self.entries[0].message.subject_field
        return subject, [
            event_of(entry, {field: subject}, number)
            for number, entry in enumerate(self.entries, start=1)
        ]

    async def _settled(self, subject: str, untouched: str) -> str:
        """What the probe prints once it says something and twice the same."""
        await self._until(subject, lambda state: _is_not(state, untouched))
        return await self._stays(subject)

    async def _stays(self, subject: str) -> str:
        """What the probe prints when the queue is empty and it has not changed since."""
        before = await self._state(subject)

        async def steady(state: str) -> bool:
            nonlocal before
            same, before = state == before, state
            return same and await self._is_empty()

        return await self._until(subject, steady)

    async def _until(self, subject: str, enough: Callable[[str], Awaitable[bool]]) -> str:
        """The state once it is enough, or the last one seen when the time is over."""
        deadline = asyncio.get_running_loop().time() + self.within
        while True:
            state = await self._state(subject)
            if await enough(state) or asyncio.get_running_loop().time() > deadline:
                return state
            await asyncio.sleep(PAUSE)

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


Way = Callable[[list[Made], random.Random], Sequence[Sequence[Made]]]


def _duplicates(events: list[Made], _: random.Random) -> Sequence[Sequence[Made]]:
    """Each event twice in a row."""
    return [[each for each in events for _ in range(2)]]


def _late(events: list[Made], _: random.Random) -> Sequence[Sequence[Made]]:
    """The whole history, and all of it again afterwards, the oldest last."""
    return [events, list(reversed(events))]


def _reordered(events: list[Made], _: random.Random) -> Sequence[Sequence[Made]]:
    """Every event once, the newest first."""
    return [list(reversed(events))]


def _storm(events: list[Made], shuffle: random.Random) -> Sequence[Sequence[Made]]:
    """Every event three times, in any order."""
    return [shuffle.sample(events * 3, len(events) * 3)]


WAYS: dict[str, Way] = {
    "duplicates": _duplicates,
    "late repeats": _late,
    "reordered": _reordered,
    "all at once": _storm,
}
