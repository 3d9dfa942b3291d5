"""What orders refuses, by name."""

from chassis.errors import NotFound, Refused


class OrderNotFound(NotFound):
    """There is no such order, or it is not yours."""

    code = "order_not_found"


class CartAlreadyOrdered(Refused):
    """This cart has an order already."""

    code = "cart_already_ordered"


class TooLateToCancel(Refused):
    """A parcel was handed over; return it instead."""

    code = "too_late_to_cancel"


class AlreadyCancelled(Refused):
    """The order is cancelled already."""

    code = "already_cancelled"


class NothingToReview(Refused):
    """The order does not wait for a decision of staff."""

    code = "nothing_to_review"


class AlreadyClaimed(Refused):
    """The order belongs to an account already."""

    code = "already_claimed"
