"""`python -m catalog api|worker|all|migrate`."""

from catalog.settings import CatalogSettings
from chassis import command

command.main("catalog", CatalogSettings)
