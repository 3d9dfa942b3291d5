"""`python -m orders api|worker|all|migrate`."""

from orders.main import service

service.main()
