"""Which types of notification there are, by which channels they go, and which of them must go."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from contracts.notifications import NotificationType, SecurityWarning

Channel = Literal["in_app", "email"]
Kind = NotificationType | SecurityWarning
Offer = tuple[Kind, Channel]

TYPES: Final[tuple[Kind, ...]] = (*get_args(NotificationType), *get_args(SecurityWarning))

# The account may be in foreign hands: these go to the owner's mailbox, and no app shows them.
ONLY_BY_EMAIL: Final[frozenset[Kind]] = frozenset(
    {"verification", "password_reset", "password_changed", "session_compromised"}
)

# Without these nobody could use an account, or prove what was bought and what is owed.
REQUIRED_BY_EMAIL: Final[frozenset[Kind]] = ONLY_BY_EMAIL | {
    "order_confirmation",
    "order_cancelled",
    "refund",
}

LinkOwner = Literal["identity", "orders"]
LINK_OWNERS: Final[Mapping[Kind, LinkOwner]] = {
    "verification": "identity",
    "password_reset": "identity",
    "order_confirmation": "orders",
}
"""The types whose mail carries a link, and the service that gives it for the reference's id."""


def channels_of(kind: Kind) -> tuple[Channel, ...]:
    """The channels a type can go by."""
    return ("email",) if kind in ONLY_BY_EMAIL else ("in_app", "email")


def is_required(kind: Kind, channel: Channel) -> bool:
    """Whether nobody may switch this off."""
    return channel == "email" and kind in REQUIRED_BY_EMAIL


OFFERED: Final[tuple[Offer, ...]] = tuple(
    (kind, channel) for kind in TYPES for channel in channels_of(kind)
)
"""Every type with each of its channels, in the order of the contract."""
