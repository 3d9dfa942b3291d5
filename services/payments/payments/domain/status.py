"""Where a payment stands, and which status may follow which."""

from typing import Final, Literal

from payments.domain.charge import Charge

Status = Literal[
    "initiated",
    "action_required",
    "authorized",
    "captured",
    "failed",
    "voided",
    "partially_refunded",
    "refunded",
]

# A payment only ever moves to a higher rank, so news may come twice, late and in any order. The
# exception is one that was voided without a charge: it is open again when a charge appears.
RANK: Final[dict[str, int]] = {
    "initiated": 0,
    "action_required": 1,
    "authorized": 2,
    "failed": 3,
    "voided": 3,
    "captured": 4,
    "partially_refunded": 4,
    "refunded": 4,
}


def status_of(charge: Charge) -> Status:
    """Where a charge leaves its payment; pending without anything to do is not a result yet."""
    if charge.status == "pending":
        return "action_required" if charge.next_action else "initiated"
    return charge.status
