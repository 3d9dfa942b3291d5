"""Notifications in the app: one per person, type and thing it is about."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import Stamped
from notifications.domain.kind import TYPES
from notifications.domain.tables import Base, one_of


class Notification(Stamped, Base):
    """What the app shows one person. `reference_*` say what it is about, such as the order."""

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint(one_of("type", TYPES), name="type"),
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

    def read(self, now: datetime) -> None:
        """Mark as read; the first reading counts."""
        self.read_at = self.read_at or now
