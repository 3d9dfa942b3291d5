"""The rules of notifications: what is told by which channel, to whom, and how often it is tried."""

from notifications.domain.email import Email, EmailExpired, EmailNotFailed, EmailStatus, pause_after
from notifications.domain.kind import LINK_OWNERS, OFFERED, TYPES, Channel, Offer, is_required
from notifications.domain.notification import Notification
from notifications.domain.preferences import Preferences, name_of
from notifications.domain.tables import Base

__all__ = [
    "LINK_OWNERS",
    "OFFERED",
    "TYPES",
    "Base",
    "Channel",
    "Email",
    "EmailExpired",
    "EmailNotFailed",
    "EmailStatus",
    "Notification",
    "Offer",
    "Preferences",
    "is_required",
    "name_of",
    "pause_after",
]
