"""Commands and a harness for tests of mail delivery."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ids import new_id, utcnow
from contracts.notifications import Notify, WarnAccountOwner
from notifications.service import MailDispatcher
from notifications.settings import NotificationsSettings
from testkit.harness import Harness
from testkit.mail_catcher import CatcherProcess


def warn_command(kind: str = "password_changed", **changes: Any) -> WarnAccountOwner:
    """A command to warn Ada about her account."""
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


def notify_command(kind: str = "order_confirmation", **changes: Any) -> Notify:
    """A command to notify Ada that her order is confirmed."""
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


async def eventually(condition: Callable[[], Awaitable[Any]], within: float = 60.0) -> Any:
    """Wait until `condition` returns something true, and return that."""
    deadline = time.monotonic() + within
    while not (found := await condition()):
        assert time.monotonic() < deadline, "the condition never became true"
        await asyncio.sleep(0.02)
    return found


@dataclass
class MailHarness:
    """The service, its mail catcher, and a dispatcher that runs only inside `sending()`."""

    harness: Harness[NotificationsSettings]
    catcher: CatcherProcess
    dispatcher: MailDispatcher

    @asynccontextmanager
    async def sending(self, *, sweeping: bool = False) -> AsyncIterator[None]:
        """Send while the block lasts; with `sweeping` also without a commit that notifies."""
        work = [asyncio.create_task(self.dispatcher.run())]
        if sweeping:
            work.append(asyncio.create_task(self._notify_repeatedly()))
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            for task in work:
                with suppress(asyncio.CancelledError):
                    await task

    async def _notify_repeatedly(self) -> None:
        while True:
            self.dispatcher.notify()
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def sending_in_second_process(self, **changes: Any) -> AsyncIterator[None]:
        """Send like a second process, with changed settings."""
        running = self.harness.running
        dispatcher = MailDispatcher(
            running.database, running.settings.model_copy(update=changes), running.peers
        )
        other = MailHarness(self.harness, self.catcher, dispatcher)
        async with other.sending(sweeping=True):
            yield

    async def has_caught_mail(self) -> bool:
        return bool(self.catcher.list())

    async def eventually(self, condition: Callable[[], Awaitable[Any]]) -> Any:
        return await eventually(condition)

    async def delay_recording(self, seconds: float) -> None:
        """Delay each update to `sent` by this many seconds."""
        await self.harness.sql(
            "create function delay_update() returns trigger language plpgsql as $$ "
            f"begin perform pg_sleep({seconds}); return new; end $$"
        )
        await self.harness.sql(
            "create trigger delay_update before update on email_messages for each row "
            "when (new.status = 'sent') execute function delay_update()"
        )

    async def restore_recording_speed(self) -> None:
        """Undo `delay_recording`."""
        await self.harness.sql("drop trigger delay_update on email_messages")

    async def list_postponed(self) -> list[Any]:
        """All mails, once each is due later; until then none."""
        emails = await self.emails()
        now = utcnow()
        all_postponed = all(e.status == "pending" and e.due_at > now for e in emails)
        return emails if all_postponed else []

    async def make_pending_due(self) -> None:
        """Make every pending mail due now."""
        await self.harness.sql("update email_messages set due_at = now() where status = 'pending'")

    async def emails(self) -> list[Any]:
        return await self.harness.sql("select * from email_messages order by id")

    async def wait_for_status(self, status: str, count: int = 1) -> list[Any]:
        """Wait until `count` mails have this status."""

        async def found() -> list[Any]:
            rows = [row for row in await self.emails() if row.status == status]
            return rows if len(rows) == count else []

        rows: list[Any] = await eventually(found)
        return rows

    def message_id(self, email_id: UUID) -> str:
        return f"<{email_id}@cartwright.example>"
