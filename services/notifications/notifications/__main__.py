"""`python -m notifications api|worker|all|migrate`."""

from chassis import command
from notifications.settings import NotificationsSettings

command.main("notifications", NotificationsSettings)
