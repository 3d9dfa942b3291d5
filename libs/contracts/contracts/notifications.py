"""What notifications obeys: telling a person something, by e-mail and in the app."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command
from contracts.money import Money

NotificationType = Literal[
    "verification",
    "password_reset",
    "order_confirmation",
    "order_shipped",
    "order_in_transit",
    "order_out_for_delivery",
    "order_delivered",
    "delivery_failed",
    "order_cancelled",
    "refund",
]


class Notify(Command):
    """Tell somebody something once: unique by type and reference, however often it is ordered.

    `recipient` is an e-mail address (None: in the app only), `user_id` whose app shows it (None: by
    e-mail only). `facts` fill the template; a link with a token travels here and nowhere else.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders", "identity")
    subject_field: ClassVar[str] = "reference_id"

    type: NotificationType
    user_id: UUID | None = None
    recipient: str | None = None
    reference_type: Literal["order", "shipment", "token", "refund"]
    reference_id: UUID
    facts: dict[str, str | int | Money] = {}
