"""`python -m promotions api|worker|all|migrate`."""

from promotions.main import service

service.main()
