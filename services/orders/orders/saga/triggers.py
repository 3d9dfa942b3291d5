"""What the saga hears from inside orders; these never touch the broker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placed:
    """The customer placed the order."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The stage took longer than it may."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The order shall be cancelled; `reason` is `customer_request` or `staff_request`."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReviewRetry:
    """Staff want the shipments tried again."""


@dataclass(frozen=True, slots=True)
class ReviewRefund:
    """Staff give back the money of lines that cannot be sent; `amount` in minor units."""

    amount: int


@dataclass(frozen=True, slots=True)
class RefusedAtDoor:
    """The parcel of a cash-on-delivery order was not accepted."""


@dataclass(frozen=True, slots=True)
class PartlyRefused:
    """Some parcels of a cash-on-delivery order were accepted, the others were not."""


@dataclass(frozen=True, slots=True)
class CaptureDue:
    """The moment came at which authorised money is taken."""


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """An operator wants what this stage waits for asked for once more, now."""


@dataclass(frozen=True, slots=True)
class SkipRequested:
    """An operator did by hand what this stage waits for."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """An operator lets a saga that stands still go on."""


Trigger = (
    Placed
    | DeadlinePassed
    | CancelRequested
    | ReviewRetry
    | ReviewRefund
    | RefusedAtDoor
    | PartlyRefused
    | CaptureDue
    | RetryRequested
    | SkipRequested
    | ResumeRequested
)
