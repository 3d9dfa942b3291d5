"""What tests of notifications do: order notices, open the mailroom, wait for what becomes of mails."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ids import new_id, utcnow
from chassis.testing import Harness
from contracts.notifications import Notify, WarnAccountOwner
from mailcatcher.testing import CatcherProcess
from notifications.sending.mailroom import Mailroom
from notifications.settings import NotificationsSettings


def a_warning(kind: str = "password_changed", **changes: Any) -> WarnAccountOwner:
    """An order to warn Ada about her account."""
    return WarnAccountOwner.model_validate(
        {
            "operation_id": new_id(),
            "type": kind,
            "user_id": new_id(),
            "recipient": "ada@example.com",
            "reference_type": "password_change",
            "reference_id": new_id(),
            "facts": {"name": "Ada Lovelace"},
        }
        | changes
    )


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


async def until(claim: Callable[[], Awaitable[Any]], within: float = 60.0) -> Any:
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
    mailroom: Mailroom

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

    @asynccontextmanager
    async def sending_elsewhere(self, **changes: Any) -> AsyncIterator[None]:
        """Send as another process would, perhaps with other settings."""
        running = self.harness.running
        room = Mailroom(
            running.database, running.settings.model_copy(update=changes), running.peers
        )
        other = Shop(self.harness, self.catcher, room)
        async with other.sending(sweeping=True):
            yield

    async def anything_caught(self) -> bool:
        return bool(self.catcher.list())

    async def until(self, claim: Callable[[], Awaitable[Any]]) -> Any:
        return await until(claim)

    async def slow_down_recording(self, seconds: float) -> None:
        """Make writing down that a mail was sent take so long."""
        await self.harness.sql(
            "create function dawdle() returns trigger language plpgsql as $$ "
            f"begin perform pg_sleep({seconds}); return new; end $$"
        )
        await self.harness.sql(
            "create trigger dawdle before update on email_messages for each row "
            "when (new.status = 'sent') execute function dawdle()"
        )

    async def record_as_usual(self) -> None:
        """Undo `slow_down_recording`."""
        await self.harness.sql("drop trigger dawdle on email_messages")

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    async def all_wait(self) -> list[Any]:
        """All mails, once each waits for a later time."""
        emails = await self.emails()
        now = utcnow()
        waits = all(e.status == "pending" and e.due_at > now for e in emails)
        return emails if waits else []

    async def let_time_pass(self) -> None:
        """Make every pause end now."""
        await self.harness.sql("update email_messages set due_at = now() where status = 'pending'")

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
