"""Sending the stored webhooks: in order for each charge, again until they are accepted."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from chassis.db import Database
from chassis.http import Http, Unreachable
from sandbox_provider import store
from sandbox_provider.db import transaction
from sandbox_provider.signature import sign

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_TIME_LIMIT: Final = 15.0
# How often the table is looked at unasked, and how long an outcome may wait to be written with
# others: a first webhook is sent from memory, so that under load the statements are few.
_SWEEP: Final = 1.0
_FLUSH: Final = 0.2


@dataclass(frozen=True, slots=True)
class Due:
    """A stored webhook whose turn has come."""

    id: str
    lane: str
    body: str
    copies: int
    attempts: int = 0


class Deliverer:
    """One task that finds what is due, sends up to 32 at once and writes the outcomes in batches.

    A process killed before it wrote an outcome sends that webhook again; receivers tell
    repeats by `webhook-id`.
    """

    def __init__(
        self, database: Database, *, url: str, keys: list[bytes], retry_seconds: list[float]
    ) -> None:
        self._database = database
        self._url = url
        self._keys = keys
        self._pauses = [timedelta(seconds=seconds) for seconds in retry_seconds]
        self._woken = asyncio.Event()
        self._busy: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._outcomes: list[tuple[Due, bool]] = []
        self._http = Http(timeout=_TIME_LIMIT)

    def wake(self) -> None:
        """Look at once: something was committed."""
        self._woken.set()

    def offer(self, first: Due) -> None:
        """Send at once what was just committed; nothing older may wait in its lane."""
        if len(self._sending) < _AT_ONCE:
            self._start(first)
        else:
            self.wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._woken.clear()
                for webhook in await self._turn():
                    if webhook.lane not in self._busy:
                        self._start(webhook)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH if self._busy else _SWEEP):
                        await self._woken.wait()
        finally:
            await self._http.close()

    def _start(self, webhook: Due) -> None:
        self._busy.add(webhook.lane)
        task = asyncio.create_task(self._send(webhook))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _turn(self) -> list[Due]:
        """Write the outcomes that came in and return what is due next."""
        outcomes, now = list(self._outcomes), datetime.now(UTC)
        freed = {webhook.lane for webhook, _ in outcomes}
        try:
            async with transaction(self._database) as connection:
                if accepted := [webhook.id for webhook, fine in outcomes if fine]:
                    await store.mark_delivered(connection, accepted, now)
                for webhook, fine in outcomes:
                    if not fine:
                        pause = self._pauses[min(webhook.attempts, len(self._pauses) - 1)]
                        await store.postpone(connection, webhook.id, now + pause)
                still_busy = self._busy - freed
                due = await store.list_due_webhooks(
                    connection,
                    now=now,
                    busy=sorted(still_busy),
                    limit=max(0, _AT_ONCE - len(self._sending)),
                )
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhooks wait for the database: %s", type(error).__name__)
            return []
        del self._outcomes[: len(outcomes)]
        self._busy -= freed
        return [Due(row.id, row.lane, row.body, row.copies, row.attempts) for row in due]

    async def _send(self, webhook: Due) -> None:
        fine = True
        for _ in range(webhook.copies):
            fine = await self._post(webhook) and fine
        self._outcomes.append((webhook, fine))
        if len(self._sending) >= _AT_ONCE:
            self.wake()

    async def _post(self, webhook: Due) -> bool:
        timestamp, body = int(time.time()), webhook.body.encode()
        headers = {
            "webhook-id": webhook.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._keys, webhook.id, timestamp, body),
        }
        try:
            answer = await self._http.request("POST", self._url, body=body, headers=headers)
        except Unreachable as error:
            log.warning("webhook %s was not delivered: %s", webhook.id, error)
            return False
        if not answer.is_success:
            log.warning("webhook %s was answered %d", webhook.id, answer.status)
            return False
        return True
