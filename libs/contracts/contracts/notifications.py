"""What notifications obeys: telling a person something, by e-mail and in the app."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Command, Part
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
    e-mail only). `facts` fill the template. They hold neither a link nor a token: for a type whose
    mail carries one, notifications requests a `MailLink` from the sender when it writes the mail.
    """

    senders: ClassVar[tuple[str, ...]] = ("orders", "identity")
    subject_field: ClassVar[str] = "reference_id"

    type: NotificationType
    user_id: UUID | None = None
    recipient: str | None = None
    reference_type: Literal["order", "shipment", "token", "refund"]
    reference_id: UUID
    facts: dict[str, str | int | Money] = {}


SecurityWarning = Literal["password_changed", "session_compromised"]


class WarnAccountOwner(Command):
    """Warn the owner of an account by e-mail, once per type and reference; nobody switches it off.

    `facts` fill the template, as those of `Notify`. The app shows nothing: the account may be in
    foreign hands.
    """

    senders: ClassVar[tuple[str, ...]] = ("identity",)
    subject_field: ClassVar[str] = "user_id"

    type: SecurityWarning
    user_id: UUID
    recipient: str
    reference_type: Literal["password_change", "session"]
    reference_id: UUID
    facts: dict[str, str] = {}


class MailLink(Part):
    """The answer to `POST /internal/mail-links/{reference_id}`: what a mail must carry in clear.

    `token` is the same secret for typing in, where the mail offers that.
    """

    link: str
    token: str | None = None
