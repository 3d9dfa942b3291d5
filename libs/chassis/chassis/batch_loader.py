"""Batches concurrent reads by key, as a DataLoader does.

The first read starts at once; keys requested while it runs share the next one. No caller gets a
result of a read that started before its request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class BatchLoader(Generic[Key, Found]):
    """`read` returns what it finds for a batch of keys; calls of it never overlap."""

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._read = read
        self._requested: list[tuple[Key, asyncio.Future[Found | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Found | None:
        """The value of the key, or None. Raises the read's exception."""
        result: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._requested.append((key, result))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await result

    async def _read_all(self) -> None:
        try:
            while self._requested:
                requested, self._requested = self._requested, []
                try:
                    found = await self._read(list({key for key, _ in requested}))
                except Exception as error:  # noqa: BLE001
                    for _, result in requested:
                        if not result.done():
                            result.set_exception(error)
                else:
                    for key, result in requested:
                        if not result.done():
                            result.set_result(found.get(key))
        finally:
            self._reading = None
