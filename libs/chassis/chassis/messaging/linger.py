"""Whether to linger for a larger batch: arrivals are frequent and the CPU is saturated."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

# The weight of the newest gap in the moving average: a dozen short gaps outweigh a pause.
WEIGHT = 1 / 8
# Longer gaps count as this many seconds.
LONGEST_GAP = 0.1
# Arrivals with a shorter mean gap, in seconds, are a burst or a steady stream.
FREQUENT = 0.05
# Seconds between two samples of the run queue, and the mean wait for a time slice above which the
# CPU is saturated, in seconds: it is 0.1 ms on an idle machine and about 1 ms on a busy one.
SAMPLE_INTERVAL = 0.25
SATURATED = 0.000_400
# Nanoseconds that the main thread ran and waited, and its time slices (kernel docs: sched-stats).
SCHEDSTAT = Path("/proc/self/schedstat")
NANOSECOND = 1e-9


@dataclass(frozen=True, slots=True)
class RunQueue:
    """The number of time slices of the main thread, and the seconds that it waited for them."""

    waited: float
    count: int


def read_run_queue() -> RunQueue:
    """The totals since the process began. Raises OSError where the kernel does not count them."""
    _, waited, count = SCHEDSTAT.read_text(encoding="ascii").split()
    return RunQueue(int(waited) * NANOSECOND, int(count))


@dataclass
class Processor:
    """Whether other work competes for the CPU, so that saving work saves time."""

    read: Callable[[], RunQueue] = read_run_queue
    sampled_at: float = float("-inf")
    previous: RunQueue = RunQueue(0.0, 0)
    saturated: bool = True

    def is_saturated(self, now: float) -> bool:
        """Whether the main thread lately waited for the CPU; True if the kernel reports nothing."""
        if now - self.sampled_at >= SAMPLE_INTERVAL:
            self.sampled_at = now
            try:
                current = self.read()
            except OSError:
                return self.saturated
            count = current.count - self.previous.count
            self.saturated = current.waited - self.previous.waited > SATURATED * count
            self.previous = current
        return self.saturated


@cache
def processor() -> Processor:
    """The processor of this process."""
    return Processor()


@dataclass
class AdaptiveLinger:
    """The moving average of the gaps between arrivals, in seconds; starts as after a pause."""

    gap: float = LONGEST_GAP
    last: float = float("-inf")
    processor: Processor = field(default_factory=processor)

    def record_arrival(self, now: float) -> None:
        """Record an arrival; `now` is a time of the monotonic clock."""
        self.gap += (min(now - self.last, LONGEST_GAP) - self.gap) * WEIGHT
        self.last = now

    def should_linger(self) -> bool:
        """Whether arrivals are frequent enough for batches and the CPU is saturated."""
        return self.gap < FREQUENT and self.processor.is_saturated(time.monotonic())
