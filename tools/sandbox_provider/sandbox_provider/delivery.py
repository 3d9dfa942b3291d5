"""Delivers stored webhooks: in order for each charge, and again until they are accepted."""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from chassis.db import Database
from chassis.http import Http, Unreachable
from sandbox_provider import store

log = logging.getLogger(__name__)

_MAX_CONCURRENT: Final = 32
_TIMEOUT: Final = 15.0
# How often the table is polled, and how long an outcome may wait to be written with others: a first
# webhook is sent from memory, so that the statements under load are few.
_POLL_INTERVAL: Final = 1.0
_FLUSH_INTERVAL: Final = 0.2


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A stored webhook that is due."""

    id: str
    lane: str
    body: str
    copies: int
    attempts: int = 0


class Deliverer:
    """One task that lists what is due, sends up to 32 at once and writes the outcomes in batches.

    A process killed before it wrote an outcome sends that webhook again; receivers recognize
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
        self._outcomes: list[tuple[DueWebhook, bool]] = []
        self._http = Http(timeout=_TIMEOUT)

    def wake(self) -> None:
        """Poll at once, since a webhook was committed."""
        self._woken.set()

    def send_now(self, first: DueWebhook) -> None:
        """Send a webhook just committed; its lane must hold no older one."""
        if len(self._sending) < _MAX_CONCURRENT:
            self._start(first)
        else:
            self.wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._woken.clear()
                for webhook in await self._flush_and_list_due():
                    if webhook.lane not in self._busy:
                        self._start(webhook)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_INTERVAL if self._busy else _POLL_INTERVAL):
                        await self._woken.wait()
        finally:
            await self._http.close()

    def _start(self, webhook: DueWebhook) -> None:
        self._busy.add(webhook.lane)
        task = asyncio.create_task(self._send(webhook))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _flush_and_list_due(self) -> list[DueWebhook]:
        """Write the collected outcomes and return the webhooks due next."""
        outcomes, now = list(self._outcomes), datetime.now(UTC)
        freed = {webhook.lane for webhook, _ in outcomes}
        try:
            async with self._database.transaction() as connection:
                if delivered := [webhook.id for webhook, accepted in outcomes if accepted]:
                    await store.mark_delivered(connection, delivered, now)
                for webhook, accepted in outcomes:
                    if not accepted:
                        pause = self._pauses[min(webhook.attempts, len(self._pauses) - 1)]
                        await store.postpone_webhook(connection, webhook.id, now + pause)
                still_busy = self._busy - freed
                due = await store.list_due_webhooks(
                    connection,
                    now=now,
                    busy=sorted(still_busy),
                    limit=max(0, _MAX_CONCURRENT - len(self._sending)),
                )
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhooks wait for the database: %s", type(error).__name__)
            return []
        del self._outcomes[: len(outcomes)]
        self._busy -= freed
        return [DueWebhook(row.id, row.lane, row.body, row.copies, row.attempts) for row in due]

    async def _send(self, webhook: DueWebhook) -> None:
        accepted = True
        for _ in range(webhook.copies):
            accepted = await self._post(webhook) and accepted
        self._outcomes.append((webhook, accepted))
        if len(self._sending) >= _MAX_CONCURRENT:
            self.wake()

    async def _post(self, webhook: DueWebhook) -> bool:
        timestamp, body = int(time.time()), webhook.body.encode()
        headers = {
            "webhook-id": webhook.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._keys, webhook.id, timestamp, body),
        }
        try:
            response = await self._http.request("POST", self._url, body=body, headers=headers)
        except Unreachable as error:
            log.warning("webhook %s was not delivered: %s", webhook.id, error)
            return False
        if not response.is_success:
            log.warning("webhook %s got status %d", webhook.id, response.status)
            return False
        return True


def sign(keys: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,<base64>` per key (Standard Webhooks 1.0.0).

    `timestamp` is in whole seconds since 1970, UTC.
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )
