"""Shares one call among concurrent callers; a failure is cached briefly."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Value = TypeVar("Value")


class SingleFlight(Generic[Value]):
    """Concurrent callers that need the same remote value share one call.

    name: the call's name in the log.
    time_limit: seconds after which the call is cancelled.
    pause: seconds after a failure during which callers receive it at once.
    """

    def __init__(self, name: str, *, time_limit: float, pause: float) -> None:
        self.name = name
        self.time_limit = time_limit
        self.pause = pause
        self._task: asyncio.Task[Value] | None = None
        self._failure: BaseException | None = None
        self._paused_until = 0.0

    async def run(self, work: Callable[[], Awaitable[Value]]) -> Value:
        """The result of the call in progress, or of a new one. Raises its failure.

        Raises TimeoutError when the call takes longer than the time limit.
        """
        task = self.start(work)
        if task is None:
            assert self._failure is not None  # noqa: S101
            # Without the traceback, which each raise of the shared exception would extend.
            raise self._failure.with_traceback(None)
        # Cancelling one caller does not cancel the call for the others.
        return await asyncio.shield(task)

    def start(self, work: Callable[[], Awaitable[Value]]) -> "asyncio.Task[Value] | None":
        """Start a call in the background unless one runs; None during the pause after a failure."""
        if self._task is None:
            if time.monotonic() < self._paused_until:
                return None
            self._task = asyncio.create_task(self._limited(work))
            self._task.add_done_callback(self._ended)
        return self._task

    async def _limited(self, work: Callable[[], Awaitable[Value]]) -> Value:
        async with asyncio.timeout(self.time_limit):
            return await work()

    def _ended(self, task: "asyncio.Task[Value]") -> None:
        self._task = None
        self._failure = None if task.cancelled() else task.exception()
        if self._failure is not None:
            log.warning("call failed", call=self.name, error=repr(self._failure))
            self._paused_until = time.monotonic() + self.pause
