"""Users: people with a login, their account status, and what their access tokens state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Forbidden
from chassis.model import Aggregate, Retained
from contracts.identity import (
    EmailVerified,
    UserRegistered,
    UserStatusChanged,
    UserTokensRevoked,
)
from identity.domain import Base

UserStatus = Literal["active", "inactive", "banned"]
RegistrationStatus = Literal["unverified", "registered"]


class AccountInactive(Forbidden):
    """The account is not active; write to us to reactivate it."""

    code = "account_inactive"


class AccountBanned(Forbidden):
    """The account is banned."""

    code = "account_banned"


def ensure_status_active(status: str) -> None:
    """Raise AccountBanned or AccountInactive unless a user's status is active."""
    if status == "banned":
        raise AccountBanned
    if status == "inactive":
        raise AccountInactive


class User(Aggregate, Base):
    """A person with a login. `email` is in lower case and unique among users not deleted."""

    __tablename__ = "users"
    __retention__ = Retained("an account stays until its owner or staff close it")
    __table_args__ = (
        CheckConstraint("status in ('active', 'inactive', 'banned')", name="status"),
        CheckConstraint(
            "registration_status in ('unverified', 'registered')", name="registration_status"
        ),
        CheckConstraint("email = lower(email)", name="email_lower_case"),
        CheckConstraint(
            "(registration_status = 'registered') = (email_verified_at is not null)",
            name="registered_is_verified",
        ),
        Index("uq_users_email", "email", unique=True, postgresql_where=text("deleted_at is null")),
        Index("ix_users_status_id", "status", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str | None] = mapped_column(String(20))
    status: Mapped[UserStatus] = mapped_column(String(20), default="active")
    registration_status: Mapped[RegistrationStatus] = mapped_column(
        String(20), default="unverified"
    )
    email_verified_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(100))

    @property
    def is_verified(self) -> bool:
        """Whether the user has verified the e-mail address."""
        return self.email_verified_at is not None

    def set_profile(self, *, first_name: str, last_name: str, phone: str | None) -> None:
        """Change names and phone number."""
        self.first_name, self.last_name, self.phone = first_name, last_name, phone
        self.touch()

    def registered(self, customer_id: UUID) -> UserRegistered:
        """Record the event of a new account."""
        return self.record(UserRegistered(user_id=self.id, customer_id=customer_id))

    def verify(self, customer_id: UUID, now: datetime) -> list[EmailVerified]:
        """Mark the e-mail address as verified; no event if it was already."""
        if self.is_verified:
            return []
        self.email_verified_at = now
        self.registration_status = "registered"
        self.touch()
        return [self.record(EmailVerified(user_id=self.id, customer_id=customer_id))]

    def set_status(self, status: UserStatus, customer_id: UUID | None) -> list[UserStatusChanged]:
        """Activate, deactivate or ban the account; no event if the status stays the same."""
        if status == self.status:
            return []
        self.status = status
        self.touch()
        event = UserStatusChanged(user_id=self.id, customer_id=customer_id, status=status)
        return [self.record(event)]

    def revoke_tokens(self, customer_id: UUID | None = None) -> UserTokensRevoked:
        """Revoke every access token issued before this; the row must be locked."""
        self.touch()
        event = UserTokensRevoked(user_id=self.id, customer_id=customer_id, generation=self.version)
        return self.record(event)

    def ensure_active(self) -> None:
        """Raise AccountBanned or AccountInactive unless the account is active."""
        ensure_status_active(self.status)


class UserRole(Base):
    """The assignment of a role to a user."""

    __tablename__ = "user_roles"
    __retention__ = Retained("the roles of each user, which staff change")
    __table_args__ = (Index("ix_user_roles_role_id", "role_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class Access:
    """The claims of an access token: the user, their customer, and what they may do.

    `generations` maps the user, the session and each role to the version the claims were read
    from; a token of an earlier version is revoked.
    """

    user_id: UUID
    customer_id: UUID
    session_id: UUID
    email: str
    email_verified: bool
    roles: list[str]
    permissions: list[str]
    may_buy: bool
    generations: dict[UUID, int]
