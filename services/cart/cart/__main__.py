"""`python -m cart api|worker|all|migrate`."""

from cart.main import service

service.main()
