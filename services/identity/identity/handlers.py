"""Identity handles no message: it publishes the revocations of tokens and stores its own."""

from chassis.bus import Bus
from identity.settings import IdentitySettings

bus: Bus[IdentitySettings] = Bus("identity", batch_handlers={})
