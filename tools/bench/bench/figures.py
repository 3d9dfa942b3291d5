"""The arithmetic of the bench: percentiles, rates, and the cost of an order."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed request: its latency in milliseconds and its outcome.

    `ended` is a time of the monotonic clock, in seconds.
    """

    ended: float
    took_ms: float
    outcome: str


@dataclass(frozen=True)
class Series:
    """The samples of several clients since `began`; none started a request after `seconds`."""

    began: float
    seconds: float
    samples: list[Sample] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """The samples with an outcome, those that ended after the time included."""
        return sum(sample.outcome == outcome for sample in self.samples)

    def rate(self, outcome: str) -> float:
        """The samples per second with an outcome that ended within the time."""
        end = self.began + self.seconds
        inside = sum(s.outcome == outcome and s.ended <= end for s in self.samples)
        return inside / self.seconds

    def others(self, outcome: str) -> dict[str, int]:
        """The number of samples with each other outcome."""
        return dict(Counter(s.outcome for s in self.samples if s.outcome != outcome))

    def percentiles(self, outcome: str, *shares: int) -> dict[str, float | None]:
        """The latencies in milliseconds as `p50_ms`, `p99_ms` and so on; None without a sample."""
        took = sorted(s.took_ms for s in self.samples if s.outcome == outcome)
        return {
            f"p{share}_ms": round(percentile(took, share), 1) if took else None for share in shares
        }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` per cent of the ordered ones do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def per_order(seconds: float, orders: int) -> float | None:
    """CPU milliseconds per order; None without orders."""
    return round(seconds * 1000 / orders, 2) if orders else None
