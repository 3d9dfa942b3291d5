"""Preferences: which notifications a person does not want, and by which channel."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, Refused
from chassis.model import Stamped
from notifications.domain.kind import OFFERED, Offer, is_required
from notifications.domain.tables import Base


class NotificationRequired(Refused):
    """This mail cannot be switched off."""

    code = "notification_required"


class ChannelNotOffered(Invalid):
    """This type does not go by that channel."""

    code = "channel_not_offered"


def name_of(offer: Offer) -> str:
    """The pair as the table holds it, such as `order_shipped:email`."""
    return ":".join(offer)


OPTIONAL: Final = tuple(name_of(offer) for offer in OFFERED if not is_required(*offer))


class Preferences(Stamped, Base):
    """What one person switched off; everything else is on, and so is all for whoever has no row."""

    __tablename__ = "preferences"
    __table_args__ = (
        CheckConstraint(
            f"switched_off <@ array[{', '.join(map(repr, OPTIONAL))}]::text[]", name="switched_off"
        ),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    switched_off: Mapped[list[str]] = mapped_column(ARRAY(Text))
    version: Mapped[int]

    def wants(self, offer: Offer) -> bool:
        """Whether this person is told this by this channel."""
        return name_of(offer) not in self.switched_off

    def switch_off(self, unwanted: Collection[Offer]) -> None:
        """Switch off these and nothing else; refused for what must be told."""
        for offer in unwanted:
            if offer not in OFFERED:
                raise ChannelNotOffered
            if is_required(*offer):
                raise NotificationRequired
        self.switched_off = sorted(map(name_of, unwanted))
        self.version += 1
