"""What routes are handed: settings, keys, the hasher, and where a request comes from."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from chassis.client_address import client_address
from chassis.db import Database
from identity.domain.attempts import TooManyAttempts
from identity.passwords import Passwords
from identity.settings import IdentitySettings
from identity.signing import Issuer

CHANCE = random.SystemRandom()


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


class Delays:
    """Delays requests without a transaction open, and at most `most` of them at once."""

    def __init__(self, most: int) -> None:
        self._free = most

    async def wait(self, seconds: float) -> None:
        """Wait; raises TooManyAttempts at once when too many are waiting already."""
        if seconds <= 0:
            return
        if self._free == 0:
            raise TooManyAttempts(seconds)
        self._free -= 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._free += 1


async def _delays(request: Request) -> Delays:
    delays: Delays = request.app.state.resources.delays
    return delays


async def _email_token_key(request: Request) -> bytes:
    key: bytes = request.app.state.resources.email_token_key
    return key


@dataclass(frozen=True, slots=True)
class Device:
    """The client of a request: its address as the gateway reports it ("" if unknown), its agent."""

    ip_address: str
    user_agent: str


async def _device(request: Request) -> Device:
    agent = request.headers.get("user-agent", "")
    return Device(client_address(request), "".join(c for c in agent if c.isprintable())[:255])


DatabaseAtHand = Annotated[Database, Depends(_database)]
SettingsAtHand = Annotated[IdentitySettings, Depends(_settings)]
PasswordsAtHand = Annotated[Passwords, Depends(_passwords)]
EmailTokenKeyAtHand = Annotated[bytes, Depends(_email_token_key)]
IssuerAtHand = Annotated[Issuer, Depends(_issuer)]
DelaysAtHand = Annotated[Delays, Depends(_delays)]
DeviceAtHand = Annotated[Device, Depends(_device)]


@asynccontextmanager
async def evenly(seconds: float) -> AsyncIterator[None]:
    """Take at least this long, so that the time taken does not tell which addresses are known.

    Up to a tenth more is left to chance: it hides what the work before leaves behind in caches.
    """
    ends = time.monotonic() + seconds + CHANCE.uniform(0, seconds / 10)
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
