"""Doing work that waits for a database which does not serve, instead of failing with it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from chassis.driver_errors import is_outage

# Seconds for which messages are kept in hand while the database does not serve.
PATIENCE = 3.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0

P = ParamSpec("P")
Outcome = TypeVar("Outcome")


class DatabaseUnavailable(Exception):
    """The database did not serve for longer than messages are kept in hand."""


async def with_backoff(
    work: Callable[P, Awaitable[Outcome]], *args: P.args, **kwargs: P.kwargs
) -> Outcome:
    """Do the work, again while the database does not serve.

    Raises DatabaseUnavailable when that lasts, and whatever else the work raises.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            return await work(*args, **kwargs)
        except Exception as error:
            if not is_outage(error):
                raise
            if time.monotonic() - began > PATIENCE:
                raise DatabaseUnavailable(repr(error)[:200]) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
