"""The table: for each stage and message, the stage that follows and the step that is taken.

In REFUNDING there is always captured money to refund: the saga leaves it with the last refund.
A row may list several moves; the engine makes the first whose condition holds. A message without a
row is either stale (a late reply to a command that was sent) and logged as ignored, or impossible
(the reply to a command that never was), which is an error.

`python -m orders.saga.table` prints the table as a Mermaid diagram.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from contracts.inventory import StockRejected, StockReleased, StockReserved
from contracts.orders import CancelReason
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
from orders.domain.checkout import (
    CancelRequested,
    CaptureDue,
    Checkout,
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
from orders.domain.order import Stage
from orders.saga import steps

Condition = Callable[[Checkout], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """Go to a stage and send what a step returns. `repeats` marks a repetition: its wait grows."""

    to: Stage
    step: Callable[[Checkout, Any, datetime], steps.Sent]
    when: Condition = lambda _order: True
    repeats: bool = False


has_coupon, is_due, is_released = Checkout.has_coupon, Checkout.is_due, Checkout.is_released
has_captured_funds, has_no_funds = Checkout.has_captured_funds, Checkout.has_no_funds
is_settled, is_unpaid, not_shipped = Checkout.is_settled, Checkout.is_unpaid, Checkout.not_shipped

S = Stage
# fmt: off
MOVES: Final[dict[tuple[Stage | None, type], tuple[Move, ...]]] = {
    # in stage             on message              go to            and take the step, if
    (None,                 Placed):                (Move(S.RESERVING, steps.place),),

    (S.RESERVING,          StockReserved):         (Move(S.REDEEMING, steps.redeem, has_coupon),
                                                    Move(S.COLLECTING, steps.collect, is_due),
                                                    Move(S.FULFILLING, steps.confirm)),
    (S.RESERVING,          StockRejected):         (Move(S.CANCELLED, steps.cancel_order),),
    (S.RESERVING,          DeadlinePassed):        (Move(S.RELEASING, steps.release),),
    (S.RESERVING,          CancelRequested):       (Move(S.RELEASING, steps.release),),

    (S.REDEEMING,          PromotionsRedeemed):    (Move(S.COLLECTING, steps.collect, is_due),
                                                    Move(S.FULFILLING, steps.confirm)),
    (S.REDEEMING,          PromotionsRejected):    (Move(S.RELEASING, steps.release),),
    (S.REDEEMING,          DeadlinePassed):        (Move(S.RELEASING, steps.release),),
    (S.REDEEMING,          CancelRequested):       (Move(S.RELEASING, steps.release),),

    (S.COLLECTING,         PaymentCaptured):       (Move(S.FULFILLING, steps.confirm),),  # the pivot
    (S.COLLECTING,         PaymentAuthorized):     (Move(S.FULFILLING, steps.confirm),),  # the pivot
    (S.COLLECTING,         PaymentActionRequired): (Move(S.AWAITING_CUSTOMER, steps.await_customer),),
    (S.COLLECTING,         PaymentFailed):         (Move(S.RELEASING, steps.release),),
    (S.COLLECTING,         PaymentCancelled):      (Move(S.RELEASING, steps.release),),
    (S.COLLECTING,         DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),
    (S.COLLECTING,         CancelRequested):       (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),

    (S.AWAITING_CUSTOMER,  PaymentCaptured):       (Move(S.FULFILLING, steps.confirm),),  # the pivot
    (S.AWAITING_CUSTOMER,  PaymentAuthorized):     (Move(S.FULFILLING, steps.confirm),),  # the pivot
    (S.AWAITING_CUSTOMER,  PaymentFailed):         (Move(S.RELEASING, steps.release),),
    (S.AWAITING_CUSTOMER,  PaymentCancelled):      (Move(S.RELEASING, steps.release),),
    (S.AWAITING_CUSTOMER,  DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),
    (S.AWAITING_CUSTOMER,  CancelRequested):       (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),

    (S.CANCELLING_PAYMENT, PaymentCancelled):      (Move(S.RELEASING, steps.release),),
    (S.CANCELLING_PAYMENT, PaymentFailed):         (Move(S.RELEASING, steps.release),),
    (S.CANCELLING_PAYMENT, CaptureFailed):         (Move(S.CANCELLING_PAYMENT, steps.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, steps.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentActionRequired): (Move(S.CANCELLING_PAYMENT, steps.cancel_payment, repeats=True),),
    (S.CANCELLING_PAYMENT, PaymentCaptured):       (Move(S.REFUNDING, steps.refund, has_captured_funds),  # late money
                                                    Move(S.RELEASING, steps.release)),
    (S.CANCELLING_PAYMENT, DeadlinePassed):        (Move(S.CANCELLING_PAYMENT, steps.cancel_payment, repeats=True),),

    (S.REFUNDING,          PaymentRefunded):       (Move(S.REFUNDING, steps.refund, has_captured_funds),
                                                    Move(S.RELEASING, steps.release_refunded)),
    (S.REFUNDING,          RefundFailed):          (Move(S.REFUNDING, steps.send_nothing, repeats=True),),
    (S.REFUNDING,          DeadlinePassed):        (Move(S.REFUNDING, steps.refund, repeats=True),),

    (S.RELEASING,          StockReleased):         (Move(S.CANCELLED, steps.cancel_order, is_released),
                                                    Move(S.RELEASING, steps.send_nothing)),
    (S.RELEASING,          PromotionsReleased):    (Move(S.CANCELLED, steps.cancel_order, is_released),
                                                    Move(S.RELEASING, steps.send_nothing)),
    (S.RELEASING,          DeadlinePassed):        (Move(S.RELEASING, steps.release_again, repeats=True),),
    (S.RELEASING,          PaymentCaptured):       (Move(S.REFUNDING, steps.refund, has_captured_funds),),  # late money
    (S.RELEASING,          PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),
    (S.CANCELLED,          PaymentCaptured):       (Move(S.REFUNDING, steps.refund, has_captured_funds),),  # late money
    (S.CANCELLED,          PaymentAuthorized):     (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),

    (S.FULFILLING,         ShipmentsCreated):      (Move(S.NEEDS_REVIEW, steps.review_payment, is_unpaid),
                                                    Move(S.COMPLETED, steps.send_nothing)),
    (S.FULFILLING,         ShipmentImpossible):    (Move(S.NEEDS_REVIEW, steps.review_parcels),),
    (S.FULFILLING,         PaymentCancelled):      (Move(S.FULFILLING, steps.publish_payment_change, is_unpaid),),
    (S.FULFILLING,         DeadlinePassed):        (Move(S.FULFILLING, steps.create_shipments, repeats=True),),
    (S.FULFILLING,         CancelRequested):       (Move(S.RECALLING, steps.recall, not_shipped),),

    (S.NEEDS_REVIEW,       ReviewRetry):           (Move(S.FULFILLING, steps.ship_reviewed),),
    (S.NEEDS_REVIEW,       ReviewRefund):          (Move(S.COMPLETED, steps.refund_reviewed),),
    (S.NEEDS_REVIEW,       CancelRequested):       (Move(S.RECALLING, steps.recall, not_shipped),),
    (S.NEEDS_REVIEW,       PaymentCancelled):      (Move(S.NEEDS_REVIEW, steps.publish_payment_change, is_unpaid),),
    (S.NEEDS_REVIEW,       PaymentCaptured):       (Move(S.COMPLETED, steps.publish_payment_change, Checkout.awaits_payment_review),
                                                    Move(S.NEEDS_REVIEW, steps.publish_payment_change)),

    (S.RECALLING,          ShipmentsCancelled):    (Move(S.REFUNDING, steps.refund, has_captured_funds),
                                                    Move(S.RELEASING, steps.release, is_settled),
                                                    Move(S.CANCELLING_PAYMENT, steps.cancel_payment)),
    (S.RECALLING,          ShipmentsPartlyCancelled): (Move(S.NEEDS_REVIEW, steps.review_unsent, is_unpaid),
                                                    Move(S.COMPLETED, steps.refund_unsent)),
    (S.RECALLING,          ShipmentAlreadySent):   (Move(S.NEEDS_REVIEW, steps.review_refused_cancellation, is_unpaid),
                                                    Move(S.COMPLETED, steps.refuse_cancellation)),
    (S.RECALLING,          DeadlinePassed):        (Move(S.RECALLING, steps.recall, repeats=True),),

    (S.COMPLETED,          CancelRequested):       (Move(S.RECALLING, steps.recall, not_shipped),),
    (S.COMPLETED,          RefusedAtDoor):         (Move(S.CANCELLING_PAYMENT, steps.restock),),
    (S.COMPLETED,          PartlyRefused):         (Move(S.NEEDS_REVIEW, steps.review_refused_parcels),),
    (S.COMPLETED,          CaptureFailed):         (Move(S.NEEDS_REVIEW, steps.review_payment, is_unpaid),),
    (S.COMPLETED,          PaymentCancelled):      (Move(S.NEEDS_REVIEW, steps.review_cancelled_payment, is_unpaid),),

    # An operator has the commands sent once more: the same operations, so no participant acts twice.
    (S.RESERVING,          RetryRequested):        (Move(S.RESERVING, steps.reserve),),
    (S.REDEEMING,          RetryRequested):        (Move(S.REDEEMING, steps.redeem),),
    (S.COLLECTING,         RetryRequested):        (Move(S.COLLECTING, steps.collect),),
    (S.AWAITING_CUSTOMER,  RetryRequested):        (Move(S.AWAITING_CUSTOMER, steps.collect),),
    (S.CANCELLING_PAYMENT, RetryRequested):        (Move(S.CANCELLING_PAYMENT, steps.cancel_payment),),
    (S.REFUNDING,          RetryRequested):        (Move(S.REFUNDING, steps.refund),),
    (S.RELEASING,          RetryRequested):        (Move(S.RELEASING, steps.release_again),),
    (S.FULFILLING,         RetryRequested):        (Move(S.FULFILLING, steps.create_shipments),),
    (S.RECALLING,          RetryRequested):        (Move(S.RECALLING, steps.recall),),

    # An operator did it by hand; no stage is skipped that would lose track of goods or money.
    (S.CANCELLING_PAYMENT, SkipRequested):         (Move(S.RELEASING, steps.release, has_no_funds),),
    (S.RELEASING,          SkipRequested):         (Move(S.CANCELLED, steps.cancel_order, has_no_funds),),
    (S.FULFILLING,         SkipRequested):         (Move(S.NEEDS_REVIEW, steps.review_payment, is_unpaid),
                                                    Move(S.COMPLETED, steps.send_nothing)),
    (S.NEEDS_REVIEW,       SkipRequested):         (Move(S.COMPLETED, steps.send_nothing),),
    (S.RECALLING,          SkipRequested):         (Move(S.REFUNDING, steps.refund, has_captured_funds),
                                                    Move(S.RELEASING, steps.release, is_settled),
                                                    Move(S.CANCELLING_PAYMENT, steps.cancel_payment)),

    (S.NEEDS_REVIEW,       ResumeRequested):       (Move(S.FULFILLING, steps.ship_reviewed),),
    **{(stage, ResumeRequested):                   (Move(stage, steps.send_nothing),)  # with a new deadline
       for stage in S if stage not in (S.NEEDS_REVIEW, S.COMPLETED, S.CANCELLED)},

    **{(stage, PaymentCaptured):                   (Move(stage, steps.publish_payment_change),)
       for stage in (S.FULFILLING, S.COMPLETED, S.RECALLING)},
    **{(stage, PaymentRefunded):                   (Move(stage, steps.publish_refund),)
       for stage in (S.FULFILLING, S.COMPLETED, S.NEEDS_REVIEW, S.RECALLING)},
    **{(stage, PaymentDisputed):                   (Move(stage, steps.publish_payment_change),)
       for stage in (S.FULFILLING, S.COMPLETED, S.NEEDS_REVIEW, S.RECALLING)},
    **{(stage, CaptureDue):                        (Move(stage, steps.capture),)
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

Once CollectPayment was sent, payments may report any change of the money: the provider voids an
authorization or lets it expire, and staff refund in payments.
"""

UNDOING: Final = frozenset(
    {
        Stage.CANCELLING_PAYMENT,
        Stage.REFUNDING,
        Stage.RELEASING,
        Stage.RECALLING,
        Stage.CANCELLED,
    }
)
"""Stages in which an order is or was undone; the first reason for entering one stands."""

FINAL: Final = frozenset({Stage.COMPLETED, Stage.CANCELLED})
"""Stages without a deadline; money may still move a finished saga."""

REASONS: Final[dict[type, CancelReason]] = {
    StockRejected: "out_of_stock",
    PromotionsRejected: "coupon_rejected",
    PaymentFailed: "payment_failed",
    PaymentCancelled: "payment_failed",
    RefusedAtDoor: "refused_at_door",
}
"""Why an order ended, by the message or trigger that ended it."""


def mermaid() -> str:
    """Every move between two stages, the messages that lead the same way on one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (stage, message), moves in MOVES.items():
        for move in moves:
            if stage is move.to or message in (Placed, CaptureDue):
                continue
            arrows.setdefault((stage or "", move.to), []).append(message.__name__)
    lines = ["stateDiagram-v2", f"    [*] --> {Stage.RESERVING}: Placed"]
    lines += [
        f"    {start} --> {end}: {', '.join(dict.fromkeys(names))}"
        for (start, end), names in arrows.items()
    ]
    lines += [f"    {stage} --> [*]" for stage in sorted(FINAL)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())  # noqa: T201
