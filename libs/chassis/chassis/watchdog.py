"""Measures how late the event loop is, and reports which service's work holds it up.

One blocking call stops every service of the process. A thread schedules a callback a few times a
second and measures when it runs. When it is overdue, a signal handler takes the stack, since it
runs in the loop's thread in the context of the work in progress.
"""

import asyncio
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Final, Self

import structlog
from prometheus_client import Histogram

from chassis.per_service import service_name, use_service

log = structlog.get_logger()

INTERVAL: Final = 0.2
LIMIT: Final = 0.25
REPORT_AFTER: Final = 5.0
"""Seconds after which a loop that is held up still is reported."""
PAUSE: Final = 10.0
"""Seconds between two reports."""
FRAMES: Final = 20
SIGNAL: Final = signal.SIGUSR2

LAG = Histogram(
    "cartwright_event_loop_lag_seconds",
    "How late the process's event loop ran a callback.",
    buckets=(0.005, 0.025, 0.1, 0.25, 1, 5, 30),
)


@dataclass(frozen=True)
class Sighting:
    """The work that held the loop up."""

    service: str
    stack: list[str]


class Watchdog:
    """Watches a loop of the main thread for the length of a `with` block."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._main = threading.get_ident()
        self._ended = threading.Event()
        self._sighting: Sighting | None = None
        self._reported_at = float("-inf")

    def __enter__(self) -> Self:
        signal.signal(SIGNAL, self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._measure()

    def _measure(self) -> None:
        """Measure once; returns when the loop runs."""
        scheduled, ran = time.monotonic(), threading.Event()
        self._loop.call_soon_threadsafe(ran.set)
        if not ran.wait(LIMIT) and scheduled - self._reported_at > PAUSE:
            self._reported_at, self._sighting = scheduled, None
            signal.pthread_kill(self._main, SIGNAL)
            ran.wait(REPORT_AFTER)
            self._report(time.monotonic() - scheduled)
        ran.wait()
        LAG.observe(time.monotonic() - scheduled)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        stack = traceback.extract_stack(frame)[-FRAMES:]
        shown = [f"{each.filename}:{each.lineno} {each.name}" for each in stack]
        self._sighting = Sighting(service_name(), shown)

    def _report(self, seconds: float) -> None:
        found = self._sighting
        if found is not None:
            with use_service(found.service):
                log.warning("event loop held up", seconds=round(seconds, 2), stack=found.stack)
