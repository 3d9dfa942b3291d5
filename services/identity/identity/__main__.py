"""`python -m identity api|worker|all|migrate`."""

from chassis import command
from identity.settings import IdentitySettings

command.main("identity", IdentitySettings, after_migration="identity.jobs:bootstrap")
