"""Order numbers, leased in blocks so that placing orders does not serialise on one row."""

import asyncio
from datetime import datetime

from chassis.db import Database
from orders.store.checkouts import lease_numbers


class Numbers:
    """Gives out `2026-000123` by the UTC year of placing; gaps are allowed, repeats are not."""

    def __init__(self, database: Database, block: int) -> None:
        self._database = database
        self._block = block
        self._year = 0
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def take(self, now: datetime) -> str:
        """The next number of the year; what is left of last year's block is dropped."""
        async with self._lock:
            if now.year != self._year or self._next >= self._end:
                async with self._database.transaction() as tx:
                    first = await lease_numbers(tx, now.year, self._block)
                self._year, self._next, self._end = now.year, first, first + self._block
            number = self._next
            self._next += 1
        return f"{now.year}-{number:06d}"
