"""Composition of notifications."""

from contextlib import AsyncExitStack

from chassis.db import Database
from chassis.service import Running, Service
from chassis.sweep import Sweep
from notifications import store
from notifications.api import ROUTERS
from notifications.domain.notification import Base
from notifications.handlers import bus
from notifications.service import MailDispatcher
from notifications.settings import NotificationsSettings


async def create_dispatcher(running: Running[NotificationsSettings], stack: AsyncExitStack) -> None:
    dispatcher = MailDispatcher(running.database, running.settings, running.peers)
    running.resources.mail_dispatcher = dispatcher


async def send_mails(_database: Database) -> None:
    """Send mails until the process stops, each as soon as it is queued."""
    await _dispatcher().run()


async def notify_of_due_mails(_database: Database) -> None:
    """Wake a worker for mails whose next attempt is due or whose lease has expired."""
    _dispatcher().notify()


async def delete_expired_facts(database: Database) -> None:
    """Delete the facts of failed mails that have expired."""
    async with database.transaction() as tx:
        await store.clear_expired_payloads(tx)


def _dispatcher() -> MailDispatcher:
    dispatcher: MailDispatcher = bus.resources.mail_dispatcher
    return dispatcher


service = Service(
    "notifications",
    NotificationsSettings,
    Base.metadata,
    ROUTERS,
    bus,
    sweeps=(
        Sweep("mails", send_mails),
        Sweep("due mails", notify_of_due_mails),
        Sweep("expired facts of mails", delete_expired_facts, every=600),
    ),
    on_start=create_dispatcher,
    gauges=store.GAUGES,
)
