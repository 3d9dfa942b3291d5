"""Whether company is about: how often something came lately."""

from dataclasses import dataclass

# The newest gap's part in the mean: a dozen quick ones make it forget a pause.
WEIGHT = 1 / 8
# A pause counts as no more than this, in seconds.
LONGEST_GAP = 0.1
# With a shorter mean, in seconds, what comes belongs to a flock, or to a stream that makes one.
FREQUENT = 0.05


@dataclass
class Company:
    """The running mean of the gaps between what comes, in seconds; at first as after a pause."""

    gap: float = LONGEST_GAP
    last: float = float("-inf")

    def came(self, now: float) -> None:
        """Note that something came; `now` is a moment of the monotonic clock."""
        self.gap += (min(now - self.last, LONGEST_GAP) - self.gap) * WEIGHT
        self.last = now

    @property
    def is_about(self) -> bool:
        """Whether things come often enough that a moment's wait makes batches of them."""
        return self.gap < FREQUENT
