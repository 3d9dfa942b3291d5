"""Reads by key that are asked for at the same time, made together.

Nobody waits for company: the first read begins at once, and what is asked for while it is under way
shares the next. A reader never gets an answer whose reading began before it asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class BatchLoader(Generic[Key, Found]):
    """`read` gives what it finds of some keys; it is never called twice at the same time."""

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._read = read
        self._asked: list[tuple[Key, asyncio.Future[Found | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Found | None:
        """What there is of the key, or None. Raises whatever the reading raised."""
        mine: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, mine))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await mine

    async def _read_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                try:
                    found = await self._read(list({key for key, _ in asked}))
                except Exception as error:  # noqa: BLE001
                    for _, answer in asked:
                        if not answer.done():
                            answer.set_exception(error)
                else:
                    for key, answer in asked:
                        if not answer.done():
                            answer.set_result(found.get(key))
        finally:
            self._reading = None
