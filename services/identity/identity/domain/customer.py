"""Customers: whom carts, addresses and orders belong to, with or without a login."""

from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Forbidden, Refused
from chassis.model import Aggregate
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


class EmailIsTheLogins(Refused):
    """The e-mail address of a customer with a login is that of the login."""

    code = "email_is_the_logins"


class Customer(Aggregate, Base):
    """Somebody who buys. `user_id` is null while staff look after somebody without a login.

    Such a customer is claimed by the user who proves to own its e-mail address. The user's earlier
    customer, if any, is then merged into it: `merged_into` says where it went.
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("status in ('active', 'inactive', 'blocked')", name="status"),
        CheckConstraint("email = lower(email)", name="email_lower_case"),
        CheckConstraint("user_id is null or merged_into is null", name="merged_has_no_user"),
        Index("uq_customers_user_id", "user_id", unique=True),
        # Of the customers who wait to be claimed, each has an e-mail address of its own.
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

    def check_is_living(self) -> None:
        """Refuse to change a customer that was merged into another."""
        if self.merged_into is not None:
            raise CustomerMerged

    def changed(self) -> CustomerChanged:
        """Announce the customer as it is now."""
        return self.record(
            CustomerChanged(
                customer_id=self.id,
                user_id=self.user_id,
                status=self.status,
                merged_into=self.merged_into,
            )
        )

    def describe(self, *, first_name: str, last_name: str, phone: str | None, by: str) -> None:
        """Change names and phone; events carry neither, so nothing is announced."""
        self.first_name, self.last_name, self.phone = first_name, last_name, phone
        self.updated_by = by
        self.touch()

    def set_email(self, email: str | None) -> bool:
        """Change the address by which the customer can be claimed; tells whether it is another."""
        if email == self.email:
            return False
        if self.user_id is not None:
            raise EmailIsTheLogins
        self.email = email
        return True

    def set_status(self, status: CustomerStatus, by: str) -> list[CustomerChanged]:
        """Open, pause or block; returns what to announce, nothing when nothing changed."""
        if status == self.status:
            return []
        self.status = status
        return [self._changed_by(by)]

    def claim(self, user_id: UUID, by: str) -> CustomerChanged:
        """Become the customer of a user who proved to own this customer's e-mail address."""
        self.user_id = user_id
        return self._changed_by(by)

    def merge_into(self, other: "Customer", by: str) -> CustomerChanged:
        """Give way to the customer that the user has claimed."""
        self.user_id = None
        self.merged_into = other.id
        self.status = "inactive"
        return self._changed_by(by)

    def abandon_to(self, other: "Customer", user_id: UUID, by: str) -> CustomerChanged:
        """Give way to the customer of the user who proved the mailbox without the password.

        Nothing that was stored here is the user's, so it goes; only orders go along.
        """
        self.first_name = self.last_name = ""
        self.phone = None
        event = self.merge_into(other, by)
        return event.model_copy(update={"reclaimed_by": user_id})

    def _changed_by(self, by: str) -> CustomerChanged:
        self.updated_by = by
        self.touch()
        return self.changed()

    def check_may_come_in(self) -> None:
        """Refuse the login of a blocked customer."""
        if self.status == "blocked":
            raise CustomerBlocked
