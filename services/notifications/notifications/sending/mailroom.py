"""The mailroom: as many carriers as there may be connections, woken by a bell."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.client import Peers
from chassis.db import Database, after_commit
from notifications.sending.carrier import Carrier
from notifications.sending.links import Links
from notifications.settings import NotificationsSettings

log = structlog.get_logger()

IDLE_SECONDS: Final = 5.0


class Mailroom:
    """Sends what is due for as long as it runs; whoever queues a mail rings."""

    def __init__(self, database: Database, settings: NotificationsSettings, peers: Peers) -> None:
        self._database = database
        self._links = Links(peers, settings)
        self._settings = settings
        self._bell: asyncio.Queue[None] = asyncio.Queue(maxsize=1)

    def ring(self) -> None:
        """Wake one carrier: there may be mails to send."""
        with suppress(asyncio.QueueFull):
            self._bell.put_nowait(None)

    def ring_after_commit(self, tx: AsyncSession) -> None:
        """Ring as soon as this transaction has committed, and not otherwise."""
        after_commit(tx, self.ring)

    async def run(self) -> None:
        """Send until cancelled; a mail that is on its way then arrives and is recorded first."""
        async with asyncio.TaskGroup() as carriers:
            for _ in range(self._settings.smtp_connections):
                carriers.create_task(self._employ(self._carrier()))

    def _carrier(self) -> Carrier:
        return Carrier(self._database, self._settings, self._links)

    async def _employ(self, carrier: Carrier) -> None:
        """Send a batch at each ring; an idle carrier closes its connection."""
        try:
            while True:
                try:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._bell.get()
                except TimeoutError:
                    await carrier.rest()
                else:
                    await self._to_its_end(carrier, self._send_due(carrier))
        finally:
            await carrier.rest()

    async def _send_due(self, carrier: Carrier) -> None:
        try:
            mails = await carrier.claim()
            if len(mails) == self._settings.mail_batch and not carrier.is_server_away:
                self.ring()
            await carrier.send(mails)
        except Exception as error:  # noqa: BLE001
            # The database is away, say: the sweep rings again, and leases end by themselves.
            log.warning("mails not sent", error=repr(error)[:300])

    async def _to_its_end(self, carrier: Carrier, work: Coroutine[Any, Any, None]) -> None:
        """Let the work end also when this task is cancelled, soon and without loose ends."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            carrier.is_leaving = True
            await task
            raise
