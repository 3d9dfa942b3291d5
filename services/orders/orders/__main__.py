"""`python -m orders api|worker|all|migrate`."""

from chassis import command
from orders.settings import OrdersSettings

command.main("orders", OrdersSettings)
