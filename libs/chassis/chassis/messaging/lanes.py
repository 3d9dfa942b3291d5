"""Lanes: work with the same key runs in order, work with different keys concurrently."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Lanes:
    """Runs coroutines, at most `limit` at once; those with the same key run in order."""

    def __init__(self, limit: int) -> None:
        self._limit = asyncio.Semaphore(limit)
        self._all: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self._all)

    def start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` after all earlier work with the same key. `work` must not raise."""
        task = asyncio.create_task(self._run(self._last.get(key), work))
        self._all.add(task)
        self._last[key] = task
        task.add_done_callback(lambda done: self._finish(key, done))

    async def _run(
        self, previous: asyncio.Task[None] | None, work: Coroutine[Any, Any, None]
    ) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        async with self._limit:
            await work

    def _finish(self, key: str, done: asyncio.Task[None]) -> None:
        self._all.discard(done)
        if self._last.get(key) is done:
            del self._last[key]

    async def wait_idle(self) -> None:
        """Wait until all work has finished."""
        while self._all:
            await asyncio.wait(self._all)

    def cancel(self) -> None:
        """Cancel all work."""
        for task in self._all:
            task.cancel()
