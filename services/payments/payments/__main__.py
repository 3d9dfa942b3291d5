"""`python -m payments api|worker|all|migrate`."""

from chassis import command
from payments.settings import PaymentsSettings

command.main("payments", PaymentsSettings)
