"""Lanes: work of one key runs in order, work of different keys side by side, within a limit."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Lanes:
    """Runs coroutines; those started under the same key never overtake one another."""

    def __init__(self, at_once: int) -> None:
        self._limit = asyncio.Semaphore(at_once)
        self._all: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return bool(self._all)

    def start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` after whatever was started under the same key. `work` must not raise."""
        task = asyncio.create_task(self._run(self._last.get(key), work))
        self._all.add(task)
        self._last[key] = task
        task.add_done_callback(lambda done: self._finish(key, done))

    async def _run(
        self, before: asyncio.Task[None] | None, work: Coroutine[Any, Any, None]
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        async with self._limit:
            await work

    def _finish(self, key: str, done: asyncio.Task[None]) -> None:
        self._all.discard(done)
        if self._last.get(key) is done:
            del self._last[key]

    async def finished(self) -> None:
        """Wait until nothing runs any more."""
        while self._all:
            await asyncio.wait(self._all)

    def cancel(self) -> None:
        """Stop what runs and what waits."""
        for task in self._all:
            task.cancel()
