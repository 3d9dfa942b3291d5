"""A charge as its provider tells of it, in words that fit every provider."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

ChargeStatus = Literal["pending", "action_required", "authorized", "captured", "failed", "voided"]


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the customer must do before the charge can go on, and where."""

    type: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRefund:
    """What became of one refund; `reference` is the idempotency key it was asked with."""

    reference: str | None
    succeeded: bool
    amount: int
    provider_reference: str | None = None
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The provider's word on one charge; amounts are minor units of `currency`.

    payment_id: our own id, as the provider keeps it with the charge.
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
