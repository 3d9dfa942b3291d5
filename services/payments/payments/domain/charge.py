"""A charge as its provider reports it, and the status it gives its payment."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

ChargeStatus = Literal["pending", "action_required", "authorized", "captured", "failed", "voided"]
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

# A payment only ever moves to a higher rank, so reports may arrive twice, late and in any order.
# The exception is one that was voided without a charge: it reopens when a charge appears.
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


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the customer must do before the charge can go on, and where."""

    type: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRefund:
    """The result of one refund; `reference` is the idempotency key of its request."""

    reference: str | None
    succeeded: bool
    amount: int
    provider_reference: str | None = None
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge as its provider reports it; amounts are minor units of `currency`.

    payment_id: our own id, which the provider stores with the charge.
    """

    reference: str
    status: ChargeStatus
    amount: int
    currency: str
    captured_amount: int = 0
    refunded_amount: int = 0
    payment_id: UUID | None = None
    failure_code: str | None = None
    next_action: NextAction | None = None
    brand: str | None = None
    last_four: str | None = None
    paypal_email: str | None = None
    refund: ChargeRefund | None = None

    @property
    def payment_status(self) -> Status:
        """The status of the charge's payment; pending without an action is not a result yet."""
        if self.status == "pending":
            return "action_required" if self.next_action else "initiated"
        return self.status


@dataclass(frozen=True, slots=True)
class Webhook:
    """A verified webhook."""

    id: str
    type: str
    charge: Charge
