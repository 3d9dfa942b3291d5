"""Whether a moment's wait is likely to bring company: how often something came lately."""

from dataclasses import dataclass

# The newest gap's part in the mean: a dozen quick ones make it forget a pause.
WEIGHT = 1 / 8
# A pause counts as no more than this, in seconds.
LONGEST_GAP = 0.1


@dataclass
class Company:
    """The running mean of the gaps between what comes, in seconds; at first as after a pause."""

    gap: float = LONGEST_GAP
    last: float = float("-inf")

    def came(self, now: float) -> None:
        """Note that something came; `now` is a moment of the monotonic clock."""
        self.gap += (min(now - self.last, LONGEST_GAP) - self.gap) * WEIGHT
        self.last = now

    def is_likely_within(self, seconds: float) -> bool:
        """Whether one more is to be expected in so short a time, as things went lately."""
        return self.gap < seconds
