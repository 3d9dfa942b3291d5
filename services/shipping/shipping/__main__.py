"""`python -m shipping api|worker|all|migrate`."""

from shipping.main import service

service.main()
