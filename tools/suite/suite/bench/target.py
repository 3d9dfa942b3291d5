"""The suite under load: where it is, who administers it, and when it has come to rest."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aio_pika
import asyncpg

from suite import repository
from suite.bench.client import Connection
from suite.instance import Instance
from suite.refusals import Refusal

POLL = 0.05
PATIENCE = 120.0
# A saga ends in these stages, or waits for a person; what is in any other goes on by itself.
AT_REST = ("completed", "cancelled", "needs_review", "awaiting_customer")
MOVING = (
    "reserving", "redeeming", "collecting", "cancelling_payment",
    "releasing", "refunding", "fulfilling", "recalling",
)  # fmt: skip


class Unexpected(Refusal):
    """The suite refused what the bench prepares or asks; the message holds its answer."""


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; raises Unexpected when it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE):
            # What is waited for happens in other processes, which signal no event here.
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise Unexpected(f"{what} did not happen within {PATIENCE:.0f} s.") from None


@dataclass
class Target:
    """A suite by its gateway's URL; `suite` is its instance when it runs on this machine."""

    url: str
    admin_email: str
    admin_password: str
    suite: Instance | None = None
    _token: str = field(default="", repr=False)

    async def sign_in(self) -> None:
        """Get a fresh token of the administrator, which lives for some minutes."""
        who = {"email": self.admin_email, "password": self.admin_password}
        self._token = (await self.call(Connection(self.url), "POST", "/v1/auth/login", who))[
            "access_token"
        ]

    @property
    def staff(self) -> dict[str, str]:
        """The headers of a request of the administrator."""
        return {"Authorization": f"Bearer {self._token}"}

    async def call(
        self,
        connection: Connection,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """A request that must succeed: its JSON. Raises Unexpected with what was answered."""
        answer = await connection.request(method, path, body, headers)
        if not answer.is_success:
            hint = " Raise its rate limits." if answer.status == 429 else ""  # noqa: PLR2004
            said = answer.body[:300].decode(errors="replace")
            raise Unexpected(f"{method} {path} was answered {answer.status}: {said}{hint}")
        return answer.json()

    async def rest(self) -> None:
        """Wait until nothing is under way: sagas ended, and where we can look, messages handled."""
        if self.suite is None:
            await until(self._sagas_rest, "the end of every saga")
            return
        observer = await Observer.of(self.suite)
        try:
            await until(observer.sees_rest, "the end of every saga and message")
        finally:
            await observer.close()

    async def _sagas_rest(self) -> bool:
        await self.sign_in()
        connection = Connection(self.url)
        for stage in MOVING:
            query = urlencode({"stage": stage, "limit": 1})
            path = f"/v1/admin/sagas?{query}"
            if (await self.call(connection, "GET", path, headers=self.staff))["items"]:
                return False
        return True


@dataclass
class Observer:
    """Looks at a local instance from behind: at its sagas, outboxes and queues."""

    orders: asyncpg.Connection
    outboxes: list[asyncpg.Connection]
    broker: aio_pika.abc.AbstractConnection
    channel: aio_pika.abc.AbstractChannel
    queues: list[str]

    @classmethod
    async def of(cls, suite: Instance) -> "Observer":
        """Connect as those who may see everything."""
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

    async def sees_rest(self) -> bool:
        """Two looks in a row find nothing: a batch in a consumer's hands shows in neither place."""
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
        """Disconnect."""
        for database in self.outboxes:
            await database.close()
        await self.broker.close()
