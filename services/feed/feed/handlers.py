"""The feed's queue brings revoked access tokens alone; its events come from the log."""

from chassis.bus import Bus
from feed.settings import FeedSettings

bus: Bus[FeedSettings] = Bus("feed")
