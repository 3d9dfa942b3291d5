"""Customers, who own carts, addresses and orders, with or without a login."""

from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Forbidden, Refused
from chassis.model import Aggregate, Retained
from contracts.identity import CustomerChanged
from identity.domain import Base

CustomerStatus = Literal["active", "inactive", "blocked"]


class CustomerExists(Refused):
    """There is a customer with this e-mail address already."""

    code = "customer_exists"


class CustomerBlocked(Forbidden):
    """The customer is blocked."""

    code = "customer_blocked"


class CustomerMerged(Refused):
    """The customer was merged into another, which its user claimed; change that one."""

    code = "customer_merged"


class EmailBelongsToLogin(Refused):
    """The e-mail address of a customer with a login is that of the login."""

    code = "email_is_the_logins"


class Customer(Aggregate, Base):
    """A buyer. Without a login, `user_id` is null and staff manage the customer.

    The user who verifies its e-mail address claims such a customer; the user's former customer is
    then merged into it and names it in `merged_into`.
    """

    __tablename__ = "customers"
    __retention__ = Retained("orders and their owners' accounts refer to customers")
    __table_args__ = (
        CheckConstraint("status in ('active', 'inactive', 'blocked')", name="status"),
        CheckConstraint("email = lower(email)", name="email_lower_case"),
        CheckConstraint("user_id is null or merged_into is null", name="merged_has_no_user"),
        Index("uq_customers_user_id", "user_id", unique=True),
        # An e-mail address identifies at most one customer that a user can claim.
        Index(
            "uq_customers_email_unclaimed",
            "email",
            unique=True,
            postgresql_where=text("user_id is null and merged_into is null"),
        ),
        Index("ix_customers_email", "email"),
        Index("ix_customers_status_id", "status", "id"),
        Index("ix_customers_merged_into", "merged_into"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    managed_by: Mapped[UUID | None]
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    status: Mapped[CustomerStatus] = mapped_column(String(20), default="active")
    email: Mapped[str | None] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str | None] = mapped_column(String(20))
    created_by: Mapped[str] = mapped_column(String(100))
    updated_by: Mapped[str] = mapped_column(String(100))

    def ensure_not_merged(self) -> None:
        """Raise CustomerMerged for a customer that was merged into another."""
        if self.merged_into is not None:
            raise CustomerMerged

    def changed(self) -> CustomerChanged:
        """Record the event of the customer's present state."""
        return self.record(
            CustomerChanged(
                customer_id=self.id,
                user_id=self.user_id,
                status=self.status,
                merged_into=self.merged_into,
            )
        )

    def set_profile(self, *, first_name: str, last_name: str, phone: str | None, by: str) -> None:
        """Change names and phone number; no event carries them."""
        self.first_name, self.last_name, self.phone = first_name, last_name, phone
        self.updated_by = by
        self.touch()

    def set_email(self, email: str | None) -> bool:
        """Change the address by which a user can claim the customer; returns whether it changed."""
        if email == self.email:
            return False
        if self.user_id is not None:
            raise EmailBelongsToLogin
        self.email = email
        return True

    def set_status(self, status: CustomerStatus, by: str) -> list[CustomerChanged]:
        """Activate, deactivate or block; no event if the status stays the same."""
        if status == self.status:
            return []
        self.status = status
        return [self._changed_by(by)]

    def claim(self, user_id: UUID, by: str) -> CustomerChanged:
        """Become the customer of the user who verified this customer's e-mail address."""
        self.user_id = user_id
        return self._changed_by(by)

    def merge_into(self, other: "Customer", by: str) -> CustomerChanged:
        """Merge into the customer that the user claims."""
        self.user_id = None
        self.merged_into = other.id
        self.status = "inactive"
        return self._changed_by(by)

    def abandon_to(self, other: "Customer", user_id: UUID, by: str) -> CustomerChanged:
        """Merge into the new customer of a user who reclaimed the account by its mailbox alone.

        The stored personal data may be a stranger's and is deleted; only orders move along.
        """
        self.first_name = self.last_name = ""
        self.phone = None
        event = self.merge_into(other, by)
        return event.model_copy(update={"reclaimed_by": user_id})

    def _changed_by(self, by: str) -> CustomerChanged:
        self.updated_by = by
        self.touch()
        return self.changed()

    def ensure_active(self) -> None:
        """Raise CustomerBlocked for a blocked customer; an inactive one logs in but cannot buy."""
        if self.status == "blocked":
            raise CustomerBlocked
