"""The sample service, where `python -m chassis.pack` looks for it."""

from sample.service import service

__all__ = ["service"]
