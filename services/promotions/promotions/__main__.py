"""`python -m promotions api|worker|all|migrate`."""

from chassis import command
from promotions.settings import PromotionsSettings

command.main("promotions", PromotionsSettings)
