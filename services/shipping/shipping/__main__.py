"""`python -m shipping api|worker|all|migrate`."""

from chassis import command
from shipping.settings import ShippingSettings

command.main("shipping", ShippingSettings)
