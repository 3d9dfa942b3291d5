"""Composition of notifications."""

from contextlib import AsyncExitStack

from chassis.db import Database
from chassis.service import Running, Service
from chassis.sweep import Sweep
from notifications.api import ROUTERS
from notifications.domain import Base
from notifications.handlers import bus
from notifications.sending.mailroom import Mailroom
from notifications.settings import NotificationsSettings
from notifications.store import emails
from notifications.store.gauges import GAUGES


async def open_mailroom(running: Running[NotificationsSettings], stack: AsyncExitStack) -> None:
    """Put the mailroom where handlers and routes find it."""
    running.resources.mailroom = Mailroom(running.database, running.settings, running.peers)


async def send_mails(_database: Database) -> None:
    """Send mails until the process stops, each as soon as it is queued."""
    mailroom: Mailroom = bus.resources.mailroom
    await mailroom.run()


async def ring_for_due_mails(_database: Database) -> None:
    """Have mails sent whose next attempt is due or whose sender died."""
    mailroom: Mailroom = bus.resources.mailroom
    mailroom.ring()


async def forget_expired_links(database: Database) -> None:
    """Drop what failed mails would have said once it is no longer true."""
    async with database.transaction() as tx:
        await emails.forget_expired(tx)


service = Service(
    "notifications",
    NotificationsSettings,
    Base.metadata,
    ROUTERS,
    bus,
    sweeps=(
        Sweep("mails", send_mails),
        Sweep("due mails", ring_for_due_mails),
        Sweep("expired links", forget_expired_links, every=600),
    ),
    on_start=open_mailroom,
    gauges=GAUGES,
)
