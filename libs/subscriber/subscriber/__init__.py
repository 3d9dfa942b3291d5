"""Consume Cartwright's events in another system: each once, in order, with replay."""

from subscriber.delivery import Delivery, Gap, Inbox, Work
from subscriber.feed import Feed
from subscriber.log import Log, Logged
from subscriber.subscriber import Subscriber

__all__ = ["Delivery", "Feed", "Gap", "Inbox", "Log", "Logged", "Subscriber", "Work"]
