"""The process: `python -m inventory [api|worker|all|migrate]`."""

from inventory.main import service

service.main()
