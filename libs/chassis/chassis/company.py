"""Whether a moment's wait for company pays: things come often, and the processors are wanted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

# The newest gap's part in the mean: a dozen quick ones make it forget a pause.
WEIGHT = 1 / 8
# A pause counts as no more than this, in seconds.
LONGEST_GAP = 0.1
# With a shorter mean, in seconds, what comes belongs to a flock, or to a stream that makes one.
FREQUENT = 0.05
# Seconds between two looks at the processor, and the share of them spent waiting for it that tells
# of a crowd: an idle machine shows a thousandth, a busy one a tenth.
LOOK_EVERY = 0.25
CROWDED = 0.02
# Nanoseconds that our main thread ran, and waited to run (the kernel's sched-stats.rst).
SCHEDSTAT = Path("/proc/self/schedstat")
NANOSECOND = 1e-9


def waited() -> float:
    """Seconds that our main thread was ready to run and others ran instead."""
    return int(SCHEDSTAT.read_text(encoding="ascii").split()[1]) * NANOSECOND


@dataclass
class Processor:
    """Whether others want the processor that we run on; work saved is then time won."""

    waited: Callable[[], float] = waited
    looked_at: float = float("-inf")
    before: float = 0.0
    crowded: bool = True

    def is_crowded(self, now: float) -> bool:
        """Whether we lately had to wait for it; where the kernel does not tell, we suppose so."""
        elapsed = now - self.looked_at
        if elapsed >= LOOK_EVERY:
            try:
                total = self.waited()
            except (OSError, ValueError, IndexError):
                total = float("inf")
            self.crowded = not (total - self.before) / elapsed < CROWDED
            self.looked_at, self.before = now, total
        return self.crowded


@cache
def processor() -> Processor:
    """The one of this process."""
    return Processor()


@dataclass
class Company:
    """The running mean of the gaps between what comes, in seconds; at first as after a pause."""

    gap: float = LONGEST_GAP
    last: float = float("-inf")
    processor: Processor = field(default_factory=processor)

    def came(self, now: float) -> None:
        """Note that something came; `now` is a moment of the monotonic clock."""
        self.gap += (min(now - self.last, LONGEST_GAP) - self.gap) * WEIGHT
        self.last = now

    def is_worth_waiting_for(self) -> bool:
        """Whether things come often enough to make batches, and work saved is of use to anybody."""
        return self.gap < FREQUENT and self.processor.is_crowded(time.monotonic())
