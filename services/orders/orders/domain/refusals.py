"""What orders refuses, by name."""

from chassis.errors import Forbidden, NotFound, Refused


class OrderNotFound(NotFound):
    """There is no such order, or it is not yours."""

    code = "order_not_found"


class CartAlreadyOrdered(Refused):
    """This cart has an order already."""

    code = "cart_already_ordered"


class TooLateToCancel(Refused):
    """A parcel was handed over; return it instead."""

    code = "too_late_to_cancel"


class RefundNotPermitted(Forbidden):
    """This returns money to the customer; you need the permission orders:refund."""

    code = "refund_not_permitted"


class AlreadyCancelled(Refused):
    """The order is cancelled already."""

    code = "already_cancelled"


class NothingToReview(Refused):
    """The order does not wait for a decision of staff."""

    code = "nothing_to_review"


class AlreadyClaimed(Refused):
    """The order belongs to an account already."""

    code = "already_claimed"


class NothingToRetry(Refused):
    """The process waits for nothing that could be asked for again; `resume` what needs review."""

    code = "nothing_to_retry"


class MayNotSkip(Refused):
    """Skipping this stage would leave goods unheld or money unaccounted for; compensate instead."""

    code = "may_not_skip"


class NotStandingStill(Refused):
    """The process runs and has a deadline; `retry` has it ask once more."""

    code = "not_standing_still"


class CompensatesAlready(Refused):
    """The order is being undone already; `retry` has it ask once more."""

    code = "compensates_already"
