"""`python -m feed api|worker|all|migrate`."""

from chassis import command
from feed.settings import FeedSettings

command.main("feed", FeedSettings)
