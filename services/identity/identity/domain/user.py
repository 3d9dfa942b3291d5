"""Users: people with a login, whether they may come in, and what is proven about them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Forbidden
from chassis.model import Aggregate
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
    """The account is not active; write to us to open it again."""

    code = "account_inactive"


class AccountBanned(Forbidden):
    """The account is banned."""

    code = "account_banned"


class User(Aggregate, Base):
    """A person with a login. `email` is kept in lower case and belongs to one user at a time."""

    __tablename__ = "users"
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
        """Whether the e-mail address was proven to be theirs."""
        return self.email_verified_at is not None

    def describe(self, *, first_name: str, last_name: str, phone: str | None) -> None:
        """Change names and phone."""
        self.first_name, self.last_name, self.phone = first_name, last_name, phone
        self.touch()

    def registered(self, customer_id: UUID) -> UserRegistered:
        """Announce a new account."""
        return self.record(UserRegistered(user_id=self.id, customer_id=customer_id))

    def verify(self, customer_id: UUID, now: datetime) -> list[EmailVerified]:
        """Take the e-mail address as proven; nothing happens the second time."""
        if self.is_verified:
            return []
        self.email_verified_at = now
        self.registration_status = "registered"
        self.touch()
        return [self.record(EmailVerified(user_id=self.id, customer_id=customer_id))]

    def set_status(self, status: UserStatus, customer_id: UUID | None) -> list[UserStatusChanged]:
        """Open, pause or ban the account; returns what to announce, if anything changed."""
        if status == self.status:
            return []
        self.status = status
        self.touch()
        told = UserStatusChanged(user_id=self.id, customer_id=customer_id, status=status)
        return [self.record(told)]

    def revoke_tokens(self, customer_id: UUID | None = None) -> UserTokensRevoked:
        """Let no access token count that was issued before this; the row must be locked."""
        self.touch()
        revoked = UserTokensRevoked(
            user_id=self.id, customer_id=customer_id, generation=self.version
        )
        return self.record(revoked)

    def check_may_come_in(self) -> None:
        """Refuse a login or refresh of an account that is not active."""
        if self.status == "banned":
            raise AccountBanned
        if self.status == "inactive":
            raise AccountInactive


class UserRole(Base):
    """That a user has a role."""

    __tablename__ = "user_roles"
    __table_args__ = (Index("ix_user_roles_role_id", "role_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
