"""`python -m inventory api|worker|all|migrate`."""

from chassis import command
from chassis.settings import ServiceSettings

command.main("inventory", ServiceSettings)
