"""The current speed of the machine: the processor time of a fixed piece of Python, sampled.

Processor times are comparable only at equal calibrations: on shared machines, and where two
processors are threads of one core, the same work takes up to twice its time under load.
"""

import asyncio
import statistics
import time
from types import TracebackType
from typing import Self

PAUSE = 0.25
ROUNDS = 12_000


class Calibration:
    """Samples four times a second while open; costs one percent of a processor."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def median_ms(self) -> float:
        """The median of the samples, in milliseconds."""
        return round(statistics.median(self._samples) * 1000, 2)

    async def __aenter__(self) -> Self:
        self._samples.append(_sample())
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            self._samples.append(_sample())


def _sample() -> float:
    began = time.thread_time()
    counts: dict[int, int] = {}
    for number in range(ROUNDS):
        counts[number % 97] = counts.get(number % 97, 0) + len(str(number))
    return time.thread_time() - began
