"""Identity's composition: keys and hasher at start."""

from contextlib import AsyncExitStack
from datetime import timedelta

from chassis.db import Database
from chassis.ids import utcnow
from chassis.service import Running, Service
from chassis.sweep import Sweep
from identity import signing
from identity.api import routers
from identity.api.at_hand import Delays
from identity.domain import Base
from identity.handlers import bus
from identity.passwords import Passwords
from identity.settings import IdentitySettings
from identity.signing import Issuer
from identity.store import attempts, email_tokens, sessions

KEPT_AFTER_EXPIRY = timedelta(days=7)


async def start(running: Running[IdentitySettings], stack: AsyncExitStack) -> None:
    """Load the keys and trust them: identity needs nobody to tell it which keys are its own."""
    settings = running.settings
    previous = settings.previous_signing_key_file
    current = signing.load(settings.signing_key_file)
    issuer = Issuer(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        access_token_seconds=settings.access_token_seconds,
        current=current,
        previous=signing.load(previous) if previous is not None else None,
    )
    running.keys.pin({public.id: public.key for public in issuer.public_keys})
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    stack.callback(passwords.close)
    running.resources.issuer = issuer
    running.resources.passwords = passwords
    running.resources.delays = Delays(settings.delayed_logins)
    running.resources.email_token_key = signing.derived_key(current, b"e-mail tokens")


async def forget_expired(database: Database) -> None:
    """Delete sessions, mail tokens and counted attempts that are long over."""
    moment = utcnow() - KEPT_AFTER_EXPIRY
    async with database.transaction() as tx:
        await sessions.delete_sessions_before(tx, moment)
        await email_tokens.delete_email_tokens_before(tx, moment)
        await attempts.delete_attempts_before(tx, moment)


service = Service(
    "identity",
    IdentitySettings,
    Base.metadata,
    routers,
    bus,
    sweeps=[Sweep("expired credentials", forget_expired, every=3600)],
    on_start=start,
)
