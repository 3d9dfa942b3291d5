"""The test harness of a service: a migrated database, its application and its bus, no broker.

A service's conftest uses `template_of` once and `running_service` for each test.
"""

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import client_address, clock, constraints, middleware, migrations, pruning
from chassis.http import Http, Reply
from chassis.ids import new_id, utcnow
from chassis.messaging.incoming import Delivery
from chassis.service import Running, Service
from chassis.settings import ServiceSettings
from contracts import registry
from contracts.envelope import Envelope
from contracts.message import Event, Message
from testkit.conformance import Declared, check_audited, check_declared
from testkit.databases import AVAILABLE, TestDatabase, administer, database_url

S = TypeVar("S", bound=ServiceSettings)

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_ID = "test"
# The client address that the gateway would report (RFC 5737).
CLIENT_ADDRESS = "192.0.2.1"
CONSTRAINTS = "select conname from pg_constraint union select relname from pg_class"
DECLARED: dict[str, Declared] = {}
# For clients of plain HTTP: loading the machine's certificates takes 25 ms for each client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def template_of(service: Service[Any]) -> str:
    """Create a migrated database of the service, once per test run; returns its name."""
    name = f"template_{service.name}_{os.getpid()}"

    async def make() -> None:
        await administer(f"drop database if exists {name}")
        await administer(f"create database {name}")
        await migrations.migrate(service.name, database_url(name), None)

    asyncio.run(make())
    return name


def access_token(
    *,
    user_id: UUID | None = None,
    customer_id: UUID | None = None,
    email: str = "ada@example.com",
    email_verified: bool = True,
    permissions: tuple[str, ...] = (),
    roles: tuple[str, ...] = ("customer",),
    **claims: Any,
) -> str:
    """An access token like identity's, signed with the tests' own key."""
    now = int(clock.now())
    return jwt.encode(
        {
            "iss": "cartwright",
            "aud": "cartwright",
            "iat": now,
            "exp": now + 600,
            "typ": "access",
            "sub": str(user_id or new_id()),
            "cid": str(customer_id or new_id()),
            "email": email,
            "email_verified": email_verified,
            "roles": list(roles),
            "permissions": list(permissions),
            **claims,
        },
        KEY,
        algorithm="ES256",
        headers={"kid": KEY_ID},
    )


def service_token(name: str) -> str:
    """A token of another service, like identity's."""
    now = int(clock.now())
    claims = {"iss": "cartwright", "aud": "cartwright", "iat": now, "exp": now + 600}
    return jwt.encode(
        {**claims, "typ": "service", "sub": name}, KEY, algorithm="ES256", headers={"kid": KEY_ID}
    )


def new_traceparent() -> str:
    """A W3C traceparent of a new trace, marked as sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass
class Harness(Generic[S]):
    """One service on a real database: call its API, deliver messages, read what it published."""

    service: Service[S]
    running: Running[S]
    client: httpx.AsyncClient
    _sequences: dict[tuple[str, str], int] = field(default_factory=dict)

    def signed_in(self, **claims: Any) -> dict[str, str]:
        """Headers of a signed-in user; see `access_token`."""
        return {"Authorization": f"Bearer {access_token(**claims)}"}

    def transaction(self) -> Any:
        """A transaction on the service's database: `async with harness.transaction() as tx`."""
        return self.running.database.transaction()

    async def deliver(self, *messages: Message, message_id: UUID | None = None) -> None:
        """Deliver messages as one batch; events without a sequence get the next one."""
        deliveries = [Delivery(self._sequenced(m), self._envelope(m, message_id)) for m in messages]
        external = [d for d in deliveries if type(d.message) in self.service.bus.external_calls]
        batched = [d for d in deliveries if type(d.message) not in self.service.bus.external_calls]
        if batched:
            await self.service.bus.receive(self.running.database, batched)
        for delivery in external:
            await self.service.bus.receive_external(self.running.database, delivery)

    def _sequenced(self, message: Message) -> Message:
        if isinstance(message, Event) and message.sequence == 0:
            key = (message.source(), message.subject())
            self._sequences[key] = self._sequences.get(key, 0) + 1
            message.with_sequence(self._sequences[key])
        return message

    def _envelope(self, message: Message, message_id: UUID | None) -> Envelope:
        return Envelope(
            id=message_id or new_id(),
            source=message.source(),
            type=message.type_name(),
            subject=message.subject(),
            time=utcnow(),
            sequence=message.sequence if isinstance(message, Event) else None,
            correlation_id=message.subject(),
            actor="test",
            traceparent=new_traceparent(),
        )

    async def published(self, *kinds: type[Message]) -> list[Any]:
        """The messages in the outbox, oldest first; only those of the given classes, if any."""
        async with self.transaction() as tx:
            rows = await tx.execute(text("select headers, body from outbox order by seq"))
            found = []
            for headers, body in rows:
                kind = registry.find(headers["cloudEvents:type"])
                if kind is None:
                    raise AssertionError(f"a message of no known type: {headers}")
                message = kind.decode(bytes(body))
                message._sequence = headers.get("cloudEvents:sequence")  # noqa: SLF001
                found.append(message)
        return [message for message in found if not kinds or isinstance(message, kinds)]

    async def clear_outbox(self) -> None:
        """Empty the outbox, as the relay would."""
        async with self.transaction() as tx:
            await tx.execute(text("delete from outbox"))

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        """Execute a statement on the service's database and commit; returns its rows."""
        async with self.transaction() as tx:
            found = await tx.execute(text(statement), values)
            return list(found.all()) if found.returns_rows else []

    async def prune(self, days: float = 0, **chosen: float) -> dict[str, int]:
        """Prune as of `days` from now; returns how many rows of each table that deleted.

        chosen: RETENTION_DAYS.
        """
        now = utcnow() + timedelta(days=days)
        rules = pruning.rules_of(self.service.metadata, chosen)
        database = self.running.database
        return {rule.table: await pruning.prune(database, rule, now) for rule in rules}

    async def run_revision(self, revision: str) -> None:
        """Run one migration on the test's rows; it must be repeatable."""
        engine = create_async_engine(self.running.settings.database_url)
        async with engine.begin() as connection:
            await connection.run_sync(migrations.run_revision, self.service.name, revision)
        await engine.dispose()


async def _clean_database(template: str) -> TestDatabase:
    """A copy of the template: one that an earlier test returned, or a new one."""
    if AVAILABLE.get(template):
        return AVAILABLE[template].pop()
    name = f"test_{new_id().hex}"
    await administer(f"create database {name} template {template}")
    found = make_url(database_url(name)).set(drivername="postgresql")
    database = TestDatabase(name, found.render_as_string(hide_password=False))
    await database.prepare()
    return database


async def _return_database(template: str, database: TestDatabase) -> None:
    if await database.reset():
        AVAILABLE.setdefault(template, []).append(database)
    else:
        await administer(f"drop database {database.name} with (force)")


@dataclass(kw_only=True)
class FakeHttp(Http):
    """Replaces the network: a function that answers the service's calls to its peers."""

    answers: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]

    async def request(self, method: str, url: str, *, body: Any = None, **options: Any) -> Reply:
        """Pass the request to the function."""
        answer = await self.answers(httpx.Request(method, url, json=body, **options))
        return Reply(answer.status_code, answer.content)


async def running_service(
    service: Service[S],
    template: str,
    *,
    answers: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]] | None = None,
    **settings: Any,
) -> AsyncIterator[Harness[S]]:
    """A harness on a copy of the template; `answers` serves the service's calls to its peers."""
    database = await _clean_database(template)
    unreachable: dict[str, Any] = {
        "port": 1,
        "database_url": database_url(database.name),
        "broker_url": "amqp://guest:guest@127.0.0.1:9/none",
        "jwks_url": "http://127.0.0.1:9/jwks",
        "identity_url": "http://127.0.0.1:9",
        "service_client_secret": "a secret only for tests",
    }
    composed = service.compose(service.settings(**unreachable | settings))
    composed.keys.pin({KEY_ID: KEY.public_key()})
    if answers is not None:
        composed.peers.http = FakeHttp(answers=answers)
        composed.peers.tokens._token = "service token"  # noqa: S105, SLF001
        composed.peers.tokens._valid_until = time.monotonic() + 10**6  # noqa: SLF001
        composed.peers.tokens._renew_at = time.monotonic() + 10**6  # noqa: SLF001
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_return_database, template, database)
        stack.push_async_callback(composed.database.close)
        stack.push_async_callback(composed.peers.close)
        if service.on_start is not None:
            await service.on_start(composed, stack)
        if service.name not in DECLARED:
            DECLARED[service.name] = Declared(service.document())
        declared = DECLARED[service.name]
        app = middleware.wrap(service.application(composed), composed.settings.max_body_bytes)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://service",
            headers={client_address.HEADER: CLIENT_ADDRESS},
            event_hooks={
                "response": [
                    check_declared(declared),
                    check_audited(declared, composed.database),
                ]
            },
        )
        await stack.enter_async_context(client)
        yield Harness(service, composed, client)


def model_differences(service: Service[Any], template: str) -> list[Any]:
    """The differences between a service's models and its migrated database.

    And every constraint that its code names (`chassis.constraints`) and its database lacks.
    """

    async def compare() -> list[Any]:
        engine = create_async_engine(database_url(template))
        try:
            async with engine.connect() as connection:
                found = await connection.run_sync(migrations.differences, service.metadata)
                known = await connection.scalars(text(CONSTRAINTS))
                return [*found, *sorted(constraints.named_in(service.name) - set(known))]
        finally:
            await engine.dispose()

    return asyncio.run(compare())
