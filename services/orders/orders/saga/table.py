"""The table: while the saga is in a stage and hears something, where it goes and what it sends.

In REFUNDING there is always captured money to give back: the saga leaves it with the last refund.
A stage may list several moves for one message; the first whose guard holds is taken. Whatever is
not listed is either stale (the answer to a command that was sent, come too late) and logged as
ignored, or impossible (the answer to a command that never was), which is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
)
from contracts.promotions import PromotionsRedeemed, PromotionsRejected, PromotionsReleased
from contracts.shipping import (
    ShipmentAlreadySent,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
)
from orders.domain.checkout import Checkout
from orders.domain.order import Stage
from orders.saga import forward, undo
from orders.saga.triggers import (
    CancelRequested,
    CaptureDue,
    DeadlinePassed,
    PartlyRefused,
    Placed,
    RefusedAtDoor,
    ResumeRequested,
    RetryRequested,
    ReviewRefund,
    ReviewRetry,
    SkipRequested,
)

Guard = Callable[[Checkout], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """Go to a stage and send what a step makes. `repeats` marks a repetition: its wait grows."""

    to: Stage
    send: Callable[[Checkout, object, datetime], forward.Sent]
    when: Guard = lambda _order: True
    repeats: bool = False


def has_coupon(order: Checkout) -> bool:
    """A coupon must be redeemed."""
    return order.has_coupon


def is_due(order: Checkout) -> bool:
    """There is something to pay."""
    return order.is_due


def is_over(order: Checkout) -> bool:
    """Everything held was given back."""
    return order.everything_given_back


def is_kept(order: Checkout) -> bool:
    """Captured money is with us."""
    return order.kept_amount > 0


def is_free(order: Checkout) -> bool:
    """No captured money is with us."""
    return order.kept_amount == 0


def is_at_home(order: Checkout) -> bool:
    """No parcel has left."""
    return not order.is_handed_over


def is_settled(order: Checkout) -> bool:
    """No money is with us and none will come: nothing was due, or all that was taken went back."""
    return not order.is_due or (order.captured_amount > 0 and order.kept_amount == 0)


def is_unpaid(order: Checkout) -> bool:
    """The promised money is gone or was not taken: a person must decide about what is sent."""
    return order.is_unpaid


def is_in_review_for_money(order: Checkout) -> bool:
    """A person decides only because the money was missing."""
    return order.progress.get("review") == "payment"


S = Stage
# fmt: off
MOVES: Final[dict[tuple[Stage | None, type], tuple[Move, ...]]] = {
    # while we are              and we hear                  we go to                         and send
    (None,                 Placed):                (Move(S.RESERVING, forward.placed),),

    (S.RESERVING,          StockReserved):         (Move(S.REDEEMING, forward.redeem, has_coupon),
                                                    Move(S.COLLECTING, forward.collect, is_due),
                                                    Move(S.FULFILLING, forward.confirm)),
    (S.RESERVING,          StockRejected):         (Move(S.CANCELLED, undo.end),),
    (S.RESERVING,          DeadlinePassed):        (Move(S.RELEASING, undo.release),),
    (S.RESERVING,          CancelRequested):       (Move(S.RELEASING, undo.release),),

    (S.REDEEMING,          PromotionsRedeemed):    (Move(S.COLLECTING, forward.collect, is_due),
                                                    Move(S.FULFILLING, forward.confirm)),
    (S.REDEEMING,          PromotionsRejected):    (Move(S.RELEASING, undo.release),),
    (S.REDEEMING,          DeadlinePassed):        (Move(S.RELEASING, undo.release),),
    (S.REDEEMING,          CancelRequested):       (Move(S.RELEASING, undo.release),),

    (S.COLLECTING,         PaymentCaptured):       (Move(S.FULFILLING, forward.confirm),),  # the pivot
    (S.COLLECTING,         PaymentAuthorized):     (Move(S.FULFILLING, forward.confirm),),  # the pivot
    (S.COLLECTING,         PaymentActionRequired): (Move(S.AWAITING_CUSTOMER, forward.await_customer),),
    (S.COLLECTING,         PaymentFailed):         (Move(S.RELEASING, undo.release),),
    (S.COLLECTING,         PaymentCancelled):      (Move(S.RELEASING, undo.release),),
    (S.COLLECTING,         DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),
    (S.COLLECTING,         CancelRequested):       (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),

    (S.AWAITING_CUSTOMER,  PaymentCaptured):       (Move(S.FULFILLING, forward.confirm),),  # the pivot
    (S.AWAITING_CUSTOMER,  PaymentAuthorized):     (Move(S.FULFILLING, forward.confirm),),  # the pivot
    (S.AWAITING_CUSTOMER,  PaymentFailed):         (Move(S.RELEASING, undo.release),),
    (S.AWAITING_CUSTOMER,  PaymentCancelled):      (Move(S.RELEASING, undo.release),),
    (S.AWAITING_CUSTOMER,  DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),
    (S.AWAITING_CUSTOMER,  CancelRequested):       (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),

    (S.CANCELLING_PAYMENT, PaymentCancelled):      (Move(S.RELEASING, undo.release),),
    (S.CANCELLING_PAYMENT, PaymentFailed):         (Move(S.RELEASING, undo.release),),
    (S.CANCELLING_PAYMENT, CaptureFailed):         (Move(S.CANCELLING_PAYMENT, undo.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, undo.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentActionRequired): (Move(S.CANCELLING_PAYMENT, undo.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentCaptured):       (Move(S.REFUNDING, undo.refund, is_kept),  # late money
                                                    Move(S.RELEASING, undo.release)),
    (S.CANCELLING_PAYMENT, DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, undo.cancel_payment, repeats=True),),

    (S.REFUNDING,          PaymentRefunded):       (Move(S.REFUNDING, undo.refund, is_kept),
                                                    Move(S.RELEASING, undo.tell_refund)),
    (S.REFUNDING,          RefundFailed):          (Move(S.REFUNDING, forward.nothing, repeats=True),),
    (S.REFUNDING,          DeadlinePassed):        (Move(S.REFUNDING, undo.refund, repeats=True),),

    (S.RELEASING,          StockReleased):         (Move(S.CANCELLED, undo.end, is_over),
                                                    Move(S.RELEASING, forward.nothing)),
    (S.RELEASING,          PromotionsReleased):    (Move(S.CANCELLED, undo.end, is_over),
                                                    Move(S.RELEASING, forward.nothing)),
    (S.RELEASING,          DeadlinePassed):        (Move(S.RELEASING, undo.release_again, repeats=True),),
    (S.RELEASING,          PaymentCaptured):       (Move(S.REFUNDING, undo.refund, is_kept),),  # late money
    (S.RELEASING,          PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),
    (S.CANCELLED,          PaymentCaptured):       (Move(S.REFUNDING, undo.refund, is_kept),),  # late money
    (S.CANCELLED,          PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),

    (S.FULFILLING,         ShipmentsCreated):      (Move(S.NEEDS_REVIEW, forward.review_payment, is_unpaid),
                                                    Move(S.COMPLETED, forward.nothing)),
    (S.FULFILLING,         ShipmentImpossible):    (Move(S.NEEDS_REVIEW, forward.review_parcels),),
    (S.FULFILLING,         PaymentCancelled):      (Move(S.FULFILLING, forward.tell_payment, is_unpaid),),
    (S.FULFILLING,         DeadlinePassed):        (Move(S.FULFILLING, forward.create_shipments, repeats=True),),
    (S.FULFILLING,         CancelRequested):       (Move(S.RECALLING, undo.recall, is_at_home),),

    (S.NEEDS_REVIEW,       ReviewRetry):           (Move(S.FULFILLING, forward.ship_reviewed),),
    (S.NEEDS_REVIEW,       ReviewRefund):          (Move(S.COMPLETED, undo.refund_reviewed),),
    (S.NEEDS_REVIEW,       CancelRequested):       (Move(S.RECALLING, undo.recall, is_at_home),),
    (S.NEEDS_REVIEW,       PaymentCancelled):      (Move(S.NEEDS_REVIEW, forward.tell_payment, is_unpaid),),
    (S.NEEDS_REVIEW,       PaymentCaptured):       (Move(S.COMPLETED, forward.tell_payment, is_in_review_for_money),
                                                    Move(S.NEEDS_REVIEW, forward.tell_payment)),

    (S.RECALLING,          ShipmentsCancelled):    (Move(S.REFUNDING, undo.refund, is_kept),
                                                    Move(S.RELEASING, undo.release, is_settled),
                                                    Move(S.CANCELLING_PAYMENT, undo.cancel_payment)),
    (S.RECALLING,          ShipmentsPartlyCancelled): (Move(S.NEEDS_REVIEW, undo.review_unsent, is_unpaid),
                                                    Move(S.COMPLETED, undo.refund_unsent)),
    (S.RECALLING,          ShipmentAlreadySent):   (Move(S.NEEDS_REVIEW, undo.review_refused, is_unpaid),
                                                    Move(S.COMPLETED, undo.refuse_cancellation)),
    (S.RECALLING,          DeadlinePassed):        (Move(S.RECALLING, undo.recall_again, repeats=True),),

    (S.COMPLETED,          CancelRequested):       (Move(S.RECALLING, undo.recall, is_at_home),),
    (S.COMPLETED,          RefusedAtDoor):         (Move(S.CANCELLING_PAYMENT, undo.take_back),),
    (S.COMPLETED,          PartlyRefused):         (Move(S.NEEDS_REVIEW, forward.review_parcels),),
    (S.COMPLETED,          CaptureFailed):         (Move(S.NEEDS_REVIEW, forward.review_payment, is_unpaid),),
    (S.COMPLETED,          PaymentCancelled):      (Move(S.NEEDS_REVIEW, forward.review_payment, is_unpaid),),

    # An operator has a stage ask once more: the same operations, so what was done is not done twice.
    (S.RESERVING,          RetryRequested):        (Move(S.RESERVING, forward.reserve),),
    (S.REDEEMING,          RetryRequested):        (Move(S.REDEEMING, forward.redeem),),
    (S.COLLECTING,         RetryRequested):        (Move(S.COLLECTING, forward.collect),),
    (S.AWAITING_CUSTOMER,  RetryRequested):        (Move(S.AWAITING_CUSTOMER, forward.collect),),
    (S.CANCELLING_PAYMENT, RetryRequested):        (Move(S.CANCELLING_PAYMENT, undo.cancel_payment),),
    (S.REFUNDING,          RetryRequested):        (Move(S.REFUNDING, undo.refund),),
    (S.RELEASING,          RetryRequested):        (Move(S.RELEASING, undo.release_again),),
    (S.FULFILLING,         RetryRequested):        (Move(S.FULFILLING, forward.create_shipments),),
    (S.RECALLING,          RetryRequested):        (Move(S.RECALLING, undo.recall_again),),

    # An operator did it by hand; nothing is skipped that would leave goods unheld or money unsaid.
    (S.CANCELLING_PAYMENT, SkipRequested):         (Move(S.RELEASING, undo.release, is_free),),
    (S.RELEASING,          SkipRequested):         (Move(S.CANCELLED, undo.end, is_free),),
    (S.FULFILLING,         SkipRequested):         (Move(S.NEEDS_REVIEW, forward.review_payment, is_unpaid),
                                                    Move(S.COMPLETED, forward.nothing)),
    (S.NEEDS_REVIEW,       SkipRequested):         (Move(S.COMPLETED, forward.nothing),),
    (S.RECALLING,          SkipRequested):         (Move(S.REFUNDING, undo.refund, is_kept),
                                                    Move(S.RELEASING, undo.release, is_settled),
                                                    Move(S.CANCELLING_PAYMENT, undo.cancel_payment)),

    (S.NEEDS_REVIEW,       ResumeRequested):       (Move(S.FULFILLING, forward.ship_reviewed),),
    **{(stage, ResumeRequested):                   (Move(stage, forward.nothing),)  # the clock runs anew
       for stage in S if stage not in (S.NEEDS_REVIEW, S.COMPLETED, S.CANCELLED)},

    **{(stage, PaymentCaptured):                   (Move(stage, forward.tell_payment),)
       for stage in (S.FULFILLING, S.COMPLETED, S.RECALLING)},
    **{(stage, money):                             (Move(stage, forward.tell_payment),)
       for stage in (S.FULFILLING, S.COMPLETED, S.NEEDS_REVIEW, S.RECALLING)
       for money in (PaymentRefunded, PaymentDisputed)},
    **{(stage, CaptureDue):                        (Move(stage, forward.capture),)
       for stage in (S.FULFILLING, S.COMPLETED, S.NEEDS_REVIEW, S.RECALLING)},
}
# fmt: on

ANSWERS: Final[dict[type, str]] = {
    StockReserved: "ReserveStock",
    StockRejected: "ReserveStock",
    StockReleased: "ReleaseStock",
    PromotionsRedeemed: "RedeemPromotions",
    PromotionsRejected: "RedeemPromotions",
    PromotionsReleased: "ReleasePromotions",
    PaymentActionRequired: "CollectPayment",
    PaymentAuthorized: "CollectPayment",
    PaymentCaptured: "CollectPayment",
    PaymentFailed: "CollectPayment",
    PaymentCancelled: "CollectPayment",
    PaymentRefunded: "CollectPayment",
    PaymentDisputed: "CollectPayment",
    RefundFailed: "CollectPayment",
    CaptureFailed: "CollectPayment",
    ShipmentsCreated: "CreateShipments",
    ShipmentImpossible: "CreateShipments",
    ShipmentsCancelled: "CancelShipments",
    ShipmentsPartlyCancelled: "CancelShipments",
    ShipmentAlreadySent: "CancelShipments",
}
"""Which command each reply needs: a reply to a command never sent is impossible.

Once CollectPayment was sent, whatever happens to the money may come unasked: the provider voids an
authorisation or lets it expire, and staff give money back in payments.
"""

TURNS_BACK: Final = frozenset(
    {
        Stage.CANCELLING_PAYMENT,
        Stage.REFUNDING,
        Stage.RELEASING,
        Stage.RECALLING,
        Stage.CANCELLED,
    }
)
"""Stages in which an order is undone; it keeps the first reason for which it entered one."""

FINAL: Final = frozenset({Stage.COMPLETED, Stage.CANCELLED})
"""Stages without a deadline; money may still move a finished saga."""

REASONS: Final[dict[type, str]] = {
    StockRejected: "out_of_stock",
    PromotionsRejected: "coupon_rejected",
    PaymentFailed: "payment_failed",
    PaymentCancelled: "payment_failed",
    RefusedAtDoor: "refused_at_door",
}
"""Why an order ended, by what ended it."""
