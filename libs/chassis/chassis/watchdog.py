"""Measures how late the event loop is, and reports which service's work holds it up.

One blocking call stops every service of the process. A thread schedules a callback a few times a
second and measures when it runs. When it is overdue, a signal handler takes the stack, since it
runs in the loop's thread in the context of the work in progress. Time in which the loop's thread
waits for a processor does not count: then other processes hold it up.
"""

import asyncio
import signal
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Final, Self

import structlog
from prometheus_client import Histogram

from chassis.per_service import service_name, use_service

log = structlog.get_logger()

INTERVAL: Final = 0.2
LIMIT: Final = 0.25
STACK_LIMIT: Final = 5.0
"""Seconds to wait for the stack: a call in C may hold the interpreter."""
PAUSE: Final = 10.0
"""Seconds between two reports."""
FRAMES: Final = 20
SIGNAL: Final = signal.SIGUSR2

LAG = Histogram(
    "cartwright_event_loop_lag_seconds",
    "How late the process's event loop ran a callback.",
    buckets=(0.005, 0.025, 0.1, 0.25, 1, 5, 30),
)


class Watchdog:
    """Watches a loop of the main thread for the length of a `with` block."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._main = threading.get_ident()
        self._scheduling = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._ended, self._seen = threading.Event(), threading.Event()
        self._service, self._stack = "", [""]
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
        waited, scheduled = self._waited(), time.monotonic()
        ran = threading.Event()
        self._loop.call_soon_threadsafe(ran.set)
        while not ran.wait(LIMIT):
            if scheduled - self._reported_at > PAUSE:
                self._seen.clear()
                signal.pthread_kill(self._main, SIGNAL)
                if self._seen.wait(STACK_LIMIT):
                    waiting = self._waited() - waited
                    self._report(scheduled, time.monotonic() - scheduled - waiting)
        LAG.observe(time.monotonic() - scheduled)

    def _waited(self) -> float:
        """The seconds the loop's thread has waited for a processor; 0 on other systems than Linux.

        See `schedstat` in Linux's Documentation/scheduler/sched-stats.rst.
        """
        try:
            return int(self._scheduling.read_text().split()[1]) / 1e9
        except OSError:
            return 0.0

    def _look(self, _number: int, frame: FrameType | None) -> None:
        stack = traceback.extract_stack(frame)[-FRAMES:]
        self._stack = [f"{each.filename}:{each.lineno} {each.name}" for each in stack]
        self._service = service_name()
        self._seen.set()

    def _report(self, scheduled: float, seconds: float) -> None:
        if seconds > LIMIT:
            self._reported_at = scheduled
            with use_service(self._service):
                log.warning("event loop held up", seconds=round(seconds, 2), stack=self._stack)
