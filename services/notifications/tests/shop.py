"""What tests of notifications do: order notices, open the mailroom, wait for what becomes of mails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ids import new_id
from chassis.testing import Harness
from contracts.notifications import Notify
from mailcatcher.testing import CatcherProcess
from notifications.sending.mailroom import Mailroom
from notifications.settings import NotificationsSettings


def a_notice(kind: str = "order_confirmation", **changes: Any) -> Notify:
    """An order to tell Ada that her order is confirmed."""
    return Notify.model_validate(
        {
            "operation_id": new_id(),
            "type": kind,
            "user_id": new_id(),
            "recipient": "ada@example.com",
            "reference_type": "order",
            "reference_id": new_id(),
            "facts": {"name": "Ada Lovelace", "order_number": "2026-000123"},
        }
        | changes
    )


async def until(claim: Callable[[], Awaitable[Any]], within: float = 10.0) -> Any:
    """Wait until a claim holds, and return what it found."""
    give_up = time.monotonic() + within
    while not (found := await claim()):
        assert time.monotonic() < give_up, "it never came true"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Shop:
    """The service, its mail catcher, and a mailroom that is open only where a test says so."""

    harness: Harness[NotificationsSettings]
    catcher: CatcherProcess

    @property
    def mailroom(self) -> Mailroom:
        room: Mailroom = self.harness.running.resources.mailroom
        return room

    @asynccontextmanager
    async def sending(self, *, sweeping: bool = False) -> AsyncIterator[None]:
        """Send while the block lasts; only with `sweeping` is there a bell besides the commits'."""
        work = [asyncio.create_task(self.mailroom.run())]
        if sweeping:
            work.append(asyncio.create_task(self._ring()))
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            for task in work:
                with suppress(asyncio.CancelledError):
                    await task

    async def _ring(self) -> None:
        while True:
            self.mailroom.ring()
            await asyncio.sleep(0.05)

    async def emails(self) -> list[Any]:
        return await self.harness.sql("select * from email_messages order by id")

    async def email_is(self, status: str, count: int = 1) -> list[Any]:
        """Wait until so many mails have this status."""

        async def found() -> list[Any]:
            rows = [row for row in await self.emails() if row.status == status]
            return rows if len(rows) == count else []

        rows: list[Any] = await until(found)
        return rows

    def message_id(self, email_id: UUID) -> str:
        return f"<{email_id}@cartwright.example>"
