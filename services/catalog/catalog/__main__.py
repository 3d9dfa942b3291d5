"""`python -m catalog api|worker|all|migrate`."""

from catalog.main import service

service.main()
