"""The suite under load: its address, its administrator, and whether it is at rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aio_pika
import asyncpg
import httpx

from suite import repository
from suite.instance import Instance
from suite.refusals import Refusal
from suite.shop.gateway import Gateway
from suite.shop.seeding import TIME_LIMIT

POLL = 0.05
WAIT_LIMIT = 120.0
# A saga ends in these stages or waits for a person; in any other it continues by itself.
AT_REST = ("completed", "cancelled", "needs_review", "awaiting_customer")
MOVING = (
    "reserving", "redeeming", "collecting", "cancelling_payment",
    "releasing", "refunding", "fulfilling", "recalling",
)  # fmt: skip


class Unexpected(Refusal):
    """A condition that the bench waits for did not come, or a process of it failed."""


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; raises Unexpected when it takes too long."""
    try:
        async with asyncio.timeout(WAIT_LIMIT):
            # The condition changes in other processes, which set no event here.
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise Unexpected(f"{what} did not happen within {WAIT_LIMIT:.0f} s.") from None


@dataclass
class Target:
    """A suite by its gateway's URL; `suite` is its instance when it runs on this machine."""

    url: str
    admin_email: str
    admin_password: str
    suite: Instance | None = None

    @contextlib.asynccontextmanager
    async def staff(self) -> AsyncIterator[Gateway]:
        """Its gateway for the administrator, newly signed in: a token is valid for minutes."""
        async with httpx.AsyncClient(base_url=self.url, timeout=TIME_LIMIT) as http:
            yield await Gateway.logged_in(http, self.admin_email, self.admin_password)

    async def rest(self) -> None:
        """Wait until every saga has ended and, on a local instance, every message is handled."""
        if self.suite is None:
            await until(self._sagas_rest, "the end of every saga")
            return
        observer = await Observer.of(self.suite)
        try:
            await until(observer.is_at_rest, "the end of every saga and message")
        finally:
            await observer.close()

    async def _sagas_rest(self) -> bool:
        async with self.staff() as staff:
            for stage in MOVING:
                if (await staff.get("/v1/admin/sagas", stage=stage, limit=1))["items"]:
                    return False
        return True


@dataclass
class Observer:
    """Reads the sagas, outboxes and queues of a local instance."""

    orders: asyncpg.Connection
    outboxes: list[asyncpg.Connection]
    broker: aio_pika.abc.AbstractConnection
    channel: aio_pika.abc.AbstractChannel
    queues: list[str]

    @classmethod
    async def of(cls, suite: Instance) -> "Observer":
        """Connect as superuser of the database and administrator of the broker."""
        services = repository.services(suite.root)
        databases = [await asyncpg.connect(suite.dsn(name, "postgres")) for name in services]
        broker = await aio_pika.connect(suite.broker_url())
        return cls(
            orders=databases[services.index("orders")],
            outboxes=databases,
            broker=broker,
            channel=await broker.channel(),
            queues=[f"svc.{name}" for name in services],
        )

    async def is_at_rest(self) -> bool:
        """Whether two polls in a row find nothing: a batch in a handler is in neither place."""
        if not await self._is_still():
            return False
        await asyncio.sleep(POLL)
        return await self._is_still()

    async def _is_still(self) -> bool:
        moving = "select exists (select from checkout_sagas where stage <> all($1))"
        if await self.orders.fetchval(moving, AT_REST):
            return False
        waiting = "select exists (select from outbox where parked_at is null)"
        for outbox in self.outboxes:
            if await outbox.fetchval(waiting):
                return False
        for name in self.queues:
            found = await self.channel.declare_queue(name, passive=True)
            if found.declaration_result.message_count:
                return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        for database in self.outboxes:
            await database.close()
        await self.broker.close()
