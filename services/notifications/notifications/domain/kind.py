"""Which types of notification there are, by which channels they go, and which of them must go."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from contracts.notifications import NotificationType

Channel = Literal["in_app", "email"]
Offer = tuple[NotificationType, Channel]

TYPES: Final[tuple[NotificationType, ...]] = get_args(NotificationType)

# These go to a mailbox that is still to be proven, so no app may show them.
ONLY_BY_EMAIL: Final[frozenset[NotificationType]] = frozenset({"verification", "password_reset"})

# Without these nobody could use an account, or prove what was bought and what is owed.
REQUIRED_BY_EMAIL: Final[frozenset[NotificationType]] = frozenset(
    {"verification", "password_reset", "order_confirmation", "order_cancelled", "refund"}
)

LinkOwner = Literal["identity", "orders"]
LINK_OWNERS: Final[Mapping[NotificationType, LinkOwner]] = {
    "verification": "identity",
    "password_reset": "identity",
    "order_confirmation": "orders",
}
"""The types whose mail carries a link, and the service that gives it for the reference's id."""


def channels_of(kind: NotificationType) -> tuple[Channel, ...]:
    """The channels a type can go by."""
    return ("email",) if kind in ONLY_BY_EMAIL else ("in_app", "email")


def is_required(kind: NotificationType, channel: Channel) -> bool:
    """Whether nobody may switch this off."""
    return channel == "email" and kind in REQUIRED_BY_EMAIL


OFFERED: Final[tuple[Offer, ...]] = tuple(
    (kind, channel) for kind in TYPES for channel in channels_of(kind)
)
"""Every type with each of its channels, in the order of the contract."""
