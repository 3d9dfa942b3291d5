"""Identity's composition: the signing keys and the password hasher are ready before requests."""

from contextlib import AsyncExitStack

from chassis.bus import Bus
from chassis.service import Running, Service
from identity import clients
from identity.api import routers
from identity.api.dependencies import LoginDelays
from identity.clients import Issuer, Passwords
from identity.domain import Base
from identity.settings import IdentitySettings, load_signing_key


async def start(running: Running[IdentitySettings], stack: AsyncExitStack) -> None:
    """Load the keys, and trust them without a request to identity's own key set."""
    settings = running.settings
    previous = settings.previous_signing_key_file
    current = load_signing_key(settings.signing_key_file)
    issuer = Issuer(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        access_token_seconds=settings.access_token_seconds,
        current=current,
        previous=load_signing_key(previous) if previous is not None else None,
    )
    running.keys.pin({public.id: public.key for public in issuer.public_keys})
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    stack.callback(passwords.close)
    running.resources.issuer = issuer
    running.resources.passwords = passwords
    running.resources.delays = LoginDelays(settings.delayed_logins)
    running.resources.email_token_key = clients.derive_key(current, b"e-mail tokens")


service = Service(
    "identity",
    IdentitySettings,
    Base.metadata,
    routers,
    # Identity handles no message, not even its own revocations: it stores them as it publishes.
    Bus("identity", batch_handlers={}),
    on_start=start,
)
