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
# Seconds between two looks at the processor, and the mean wait for a turn on it, in seconds, that
# tells of a crowd: on an idle machine it is a tenth of a millisecond, on a busy one near a whole.
SAMPLE_INTERVAL = 0.25
SATURATED = 0.000_400
# Nanoseconds that our main thread ran, and waited to run, and its turns (the kernel's sched-stats).
SCHEDSTAT = Path("/proc/self/schedstat")
NANOSECOND = 1e-9


@dataclass(frozen=True, slots=True)
class RunQueue:
    """How often our main thread was given a processor, and the seconds that it waited for them."""

    waited: float
    count: int


def turns() -> RunQueue:
    """Those since the process began; raises OSError where the kernel does not count them."""
    _, waited, count = SCHEDSTAT.read_text(encoding="ascii").split()
    return RunQueue(int(waited) * NANOSECOND, int(count))


@dataclass
class Processor:
    """Whether others want the processor that we run on; work saved is then time won."""

    turns: Callable[[], RunQueue] = turns
    sampled_at: float = float("-inf")
    before: RunQueue = RunQueue(0.0, 0)
    saturated: bool = True

    def is_saturated(self, now: float) -> bool:
        """Whether we lately had to wait for it; where the kernel does not tell, we suppose so."""
        if now - self.sampled_at >= SAMPLE_INTERVAL:
            self.sampled_at = now
            try:
                known = self.turns()
            except OSError:
                return self.saturated
            count = known.count - self.before.count
            self.saturated = known.waited - self.before.waited > SATURATED * count
            self.before = known
        return self.saturated


@cache
def processor() -> Processor:
    """The one of this process."""
    return Processor()


@dataclass
class AdaptiveLinger:
    """The running mean of the gaps between what comes, in seconds; at first as after a pause."""

    gap: float = LONGEST_GAP
    last: float = float("-inf")
    processor: Processor = field(default_factory=processor)

    def record_arrival(self, now: float) -> None:
        """Note that something came; `now` is a moment of the monotonic clock."""
        self.gap += (min(now - self.last, LONGEST_GAP) - self.gap) * WEIGHT
        self.last = now

    def should_linger(self) -> bool:
        """Whether things come often enough to make batches, and work saved is of use to anybody."""
        return self.gap < FREQUENT and self.processor.is_saturated(time.monotonic())
