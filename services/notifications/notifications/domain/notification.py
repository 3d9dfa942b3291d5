"""Notifications in the app, their types and channels, and what each user switched off."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, Refused
from chassis.model import Model, Pruned, Retained, Stamped, check_in, own_metadata
from contracts.notifications import NotificationType, SecurityWarning

Channel = Literal["in_app", "email"]
Kind = NotificationType | SecurityWarning
ChannelOption = tuple[Kind, Channel]

TYPES: Final[tuple[Kind, ...]] = (*get_args(NotificationType), *get_args(SecurityWarning))

# Another person may control the account: these go to the owner's mailbox, and no app shows them.
ONLY_BY_EMAIL: Final[frozenset[Kind]] = frozenset(
    {"verification", "password_reset", "password_changed", "session_compromised"}
)

# Without these a customer could not use an account, or prove an order or a refund.
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
"""The types whose mail carries a link, and the service that issues it for the reference's id."""


class NotificationRequired(Refused):
    """This mail cannot be switched off."""

    code = "notification_required"


class ChannelNotOffered(Invalid):
    """This type does not go by that channel."""

    code = "channel_not_offered"


def channels_of(kind: Kind) -> tuple[Channel, ...]:
    return ("email",) if kind in ONLY_BY_EMAIL else ("in_app", "email")


def is_required(kind: Kind, channel: Channel) -> bool:
    """Whether users cannot switch this off."""
    return channel == "email" and kind in REQUIRED_BY_EMAIL


def option_name(option: ChannelOption) -> str:
    """The pair as the table stores it, such as `order_shipped:email`."""
    return ":".join(option)


CHANNEL_OPTIONS: Final[tuple[ChannelOption, ...]] = tuple(
    (kind, channel) for kind in TYPES for channel in channels_of(kind)
)
"""Every type with each of its channels, in the order of the contract."""

OPTIONAL: Final = tuple(
    option_name(option) for option in CHANNEL_OPTIONS if not is_required(*option)
)


class Base(Model):
    __abstract__ = True
    metadata = own_metadata()


class Notification(Stamped, Base):
    """What the app shows one user, once per type and reference (such as the order)."""

    __tablename__ = "notifications"
    __retention__ = Pruned(days=365, by="id", least=30)
    __table_args__ = (
        CheckConstraint(check_in("type", TYPES), name="type"),
        UniqueConstraint(
            "user_id", "type", "reference_type", "reference_id", name="uq_notifications_once"
        ),
        Index("ix_notifications_user_id", "user_id", "id"),
        Index("ix_notifications_unread", "user_id", "id", postgresql_where=text("read_at is null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(50))
    title: Mapped[str] = mapped_column(String(255))
    content: Mapped[str] = mapped_column(String(1000))
    reference_type: Mapped[str] = mapped_column(String(20))
    reference_id: Mapped[UUID]
    read_at: Mapped[datetime | None]

    def mark_read(self, now: datetime) -> None:
        """Set `read_at`; a repeat leaves the first time."""
        self.read_at = self.read_at or now


class Preferences(Stamped, Base):
    """What one user switched off; everything else is on. A user without a row has all on."""

    __tablename__ = "preferences"
    __retention__ = Retained("a row for each user who switched something off")
    __table_args__ = (
        CheckConstraint(
            f"switched_off <@ array[{', '.join(map(repr, OPTIONAL))}]::text[]", name="switched_off"
        ),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    switched_off: Mapped[list[str]] = mapped_column(ARRAY(Text))
    version: Mapped[int]

    def is_enabled(self, option: ChannelOption) -> bool:
        return option_name(option) not in self.switched_off

    def switch_off(self, options: Collection[ChannelOption]) -> None:
        """Switch off exactly these; raises ChannelNotOffered or NotificationRequired."""
        for option in options:
            if option not in CHANNEL_OPTIONS:
                raise ChannelNotOffered
            if is_required(*option):
                raise NotificationRequired
        self.switched_off = sorted(map(option_name, options))
        self.version += 1
