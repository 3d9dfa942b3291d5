"""`python -m feed api|worker|all|migrate`."""

from feed.main import service

service.main()
