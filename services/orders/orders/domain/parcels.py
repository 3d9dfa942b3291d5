"""What an order's parcels mean together, whatever the order in which their events arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from orders.domain.checkout import Refusal

Outcome = Literal["delivered"] | Refusal

LEFT: Final = frozenset({"in_transit", "out_for_delivery", "delivered", "failed", "returned"})
"""States of a parcel that a carrier has, whether or not its hand-over was received."""

NOT_ACCEPTED: Final = frozenset({"failed", "returned"})


@dataclass(frozen=True, slots=True)
class Parcels:
    """The states of an order's stored parcels; `are_all` means there can be no other."""

    statuses: Sequence[str]
    are_all: bool

    @property
    def live(self) -> set[str]:
        """The states of those that were not cancelled."""
        return set(self.statuses) - {"cancelled"}

    @property
    def has_left(self) -> bool:
        """Whether a carrier has one."""
        return not LEFT.isdisjoint(self.live)

    @property
    def outcome(self) -> Outcome | None:
        """How the journey of all live parcels ended; None while one is under way or unknown."""
        if not self.are_all or not self.live:
            return None
        if self.live == {"delivered"}:
            return "delivered"
        if self.live <= NOT_ACCEPTED:
            return "refused"
        return "partly_refused" if self.live <= {"delivered", *NOT_ACCEPTED} else None
