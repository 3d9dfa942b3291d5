"""What routes share: their dependencies, field types, the view of a user, and the security log."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Any
from uuid import UUID

import structlog
from email_validator import EmailNotValidError, validate_email
from fastapi import Depends, Request
from pydantic import AfterValidator, Field

from chassis import revocations
from chassis.auth import Caller, require_permission
from chassis.client_address import client_address
from chassis.db import Database, Tx
from chassis.errors import Forbidden, Unauthenticated, refuses
from chassis.revocations import TokenRevoked
from chassis.wire import SafeText, View
from identity import service
from identity.clients import Issuer, Passwords
from identity.domain.address import to_e164
from identity.domain.customer import CustomerBlocked
from identity.domain.role import Actor, AddressNotVerified, ExceedsOwnPermissions, LastAdministrator
from identity.domain.session import TooManyAttempts
from identity.domain.user import AccountBanned, AccountInactive, User
from identity.settings import IdentitySettings

security_log = structlog.get_logger("security")

RANDOM = random.SystemRandom()
IPV4_NETWORK_PREFIX = 24
IPV6_NETWORK_PREFIX = 48


def _normalize_email(text: str) -> str:
    """The one form in which addresses are stored and compared: ASCII, lower case."""
    try:
        checked = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise ValueError("this is no e-mail address") from None
    if checked.ascii_email is None:
        raise ValueError("this is no e-mail address")
    return checked.ascii_email.lower()


Email = Annotated[str, Field(max_length=255), AfterValidator(_normalize_email)]

# The rules on strength are the domain's, so that a refusal has a code of its own.
Password = Annotated[SafeText, Field(min_length=1, max_length=256)]

Phone = Annotated[str, Field(max_length=40), AfterValidator(to_e164)]
"""A number with its country code, normalised to E.164."""

Token = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")]
"""A token that identity issued."""

RoleName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z][a-z0-9_-]*$")]


class UserView(View):
    """A user; `email_verified` is false until the user has verified the address."""

    id: UUID
    customer_id: UUID
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    phone: str | None
    status: str
    registration_status: str
    roles: list[str]
    created_at: datetime

    @classmethod
    def of(cls, user: User, customer_id: UUID, roles: Sequence[str]) -> "UserView":
        return cls(
            id=user.id,
            customer_id=customer_id,
            email=user.email,
            email_verified=user.is_verified,
            first_name=user.first_name,
            last_name=user.last_name,
            phone=user.phone,
            status=user.status,
            registration_status=user.registration_status,
            roles=list(roles),
            created_at=user.created_at,
        )


class LoginDelays:
    """Delays logins while no transaction is open, and at most `limit` of them at a time."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    async def wait(self, seconds: float) -> None:
        """Wait; raises TooManyAttempts at once if the limit of waiting logins is reached."""
        if seconds <= 0:
            return
        if self._free == 0:
            raise TooManyAttempts(seconds)
        self._free -= 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._free += 1


@dataclass(frozen=True, slots=True)
class Device:
    """The client of a request: its address as the gateway reports it ("" if unknown), its agent."""

    ip_address: str
    user_agent: str


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _settings(request: Request) -> IdentitySettings:
    settings: IdentitySettings = request.app.state.settings
    return settings


async def _passwords(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.resources.passwords
    return passwords


async def _issuer(request: Request) -> Issuer:
    issuer: Issuer = request.app.state.resources.issuer
    return issuer


async def _delays(request: Request) -> LoginDelays:
    delays: LoginDelays = request.app.state.resources.delays
    return delays


async def _email_token_key(request: Request) -> bytes:
    key: bytes = request.app.state.resources.email_token_key
    return key


async def _device(request: Request) -> Device:
    agent = request.headers.get("user-agent", "")
    return Device(client_address(request), "".join(c for c in agent if c.isprintable())[:255])


AppDatabase = Annotated[Database, Depends(_database)]
AppSettings = Annotated[IdentitySettings, Depends(_settings)]
AppPasswords = Annotated[Passwords, Depends(_passwords)]
AppIssuer = Annotated[Issuer, Depends(_issuer)]
AppDelays = Annotated[LoginDelays, Depends(_delays)]
EmailTokenKey = Annotated[bytes, Depends(_email_token_key)]
ClientDevice = Annotated[Device, Depends(_device)]


def actor_with(permission: str) -> Callable[[Caller, Tx], Coroutine[Any, Any, Actor]]:
    """A dependency that locks authority and reads the actor in the route's transaction.

    The token is checked first, so a caller who never had the permission costs no query.
    """

    # The last three are refused by `service.within_authority`, inside which an actor acts.
    @refuses(
        Forbidden, Unauthenticated, AccountBanned, AccountInactive, CustomerBlocked, TokenRevoked,
        AddressNotVerified, ExceedsOwnPermissions, LastAdministrator,
    )  # fmt: skip
    async def actor(
        caller: Annotated[Caller, Depends(require_permission(permission))], tx: Tx
    ) -> Actor:
        found = await service.lock_actor(tx, caller.id, permission)
        await revocations.check_now(tx, caller.generations)
        return found

    return actor


@asynccontextmanager
async def minimum_duration(seconds: float) -> AsyncIterator[None]:
    """Take at least `seconds`, so that the duration does not reveal which addresses are known.

    Up to a tenth more is random: it hides the traces that the work leaves in caches.
    """
    end = time.monotonic() + seconds + RANDOM.uniform(0, seconds / 10)
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, end - time.monotonic()))


def log_security_event(event: str, ip_address: str = "", **facts: Any) -> None:
    """Log one event with ids and a network: no e-mail address, no secret, no single address."""
    security_log.warning(event, network=network_of(ip_address), **facts)


def network_of(ip_address: str) -> str:
    """The /24 of an IPv4 address or the /48 of an IPv6 address; "" for an unknown address."""
    if not ip_address:
        return ""
    prefix = IPV6_NETWORK_PREFIX if ":" in ip_address else IPV4_NETWORK_PREFIX
    return str(ip_network(f"{ip_address}/{prefix}", strict=False))
