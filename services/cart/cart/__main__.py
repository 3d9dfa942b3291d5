"""`python -m cart api|worker|all|migrate`."""

from cart.settings import CartSettings
from chassis import command

command.main("cart", CartSettings)
