"""Commands to notifications: notify a person by e-mail and in the app."""

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
    """Notify a person, once per type and reference.

    `recipient` is an e-mail address (None: in the app only); `user_id` is the user whose app shows
    it (None: by e-mail only). `facts` fill the template and hold neither a link nor a token: for a
    mail that contains one, notifications requests a `MailLink` from the sender when it writes it.
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
    """Warn an account's owner by e-mail, once per type and reference; users cannot opt out.

    `facts` fill the template, as in `Notify`. The app shows nothing, since an attacker may control
    the account.
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
    """The response of `POST /internal/mail-links/{reference_id}`: the link that a mail contains.

    `token` is the same secret as a code to type in, for mails that show one.
    """

    link: str
    token: str | None = None
