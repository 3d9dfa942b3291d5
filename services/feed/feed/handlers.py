"""The feed handles no message of its own: it reads the log itself."""

from chassis.bus import Bus
from feed.settings import FeedSettings

bus: Bus[FeedSettings] = Bus("feed")
