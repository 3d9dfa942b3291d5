"""Identity listens to nobody yet; its bus stands here for the topology."""

from chassis.bus import Bus
from identity.settings import IdentitySettings

bus: Bus[IdentitySettings] = Bus("identity")
