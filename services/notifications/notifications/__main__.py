"""`python -m notifications api|worker|all|migrate`."""

from notifications.main import service

service.main()
