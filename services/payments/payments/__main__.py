"""Runs the service: `python -m payments api|worker|all|migrate`."""

from payments.main import service

service.main()
