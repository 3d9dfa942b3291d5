"""Events of identity: users, sessions, roles and customers, by id only."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Event, Kind


class UserEvent(Event):
    """An event of one user."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "user"
    subject_field: ClassVar[str] = "user_id"
    user_id: UUID
    customer_id: UUID | None = None


class UserRegistered(UserEvent):
    """A user registered an account; the e-mail address is not verified yet."""


class EmailVerified(UserEvent):
    """The user verified the e-mail address."""


class UserStatusChanged(UserEvent):
    """The account was activated, deactivated or banned."""

    status: Literal["active", "inactive", "banned"]


class UserTokensRevoked(UserEvent):
    """Access tokens of the user with an earlier generation are revoked.

    Published when their claims became outdated (status, roles, customer), and when a password
    change, a ban, a block or a logout everywhere ended all sessions. `generation` is the user's in
    the tokens' `gen` claim.
    """

    generation: int


class SessionTokensRevoked(Event):
    """A session ended: its access tokens are revoked."""

    aggregate: ClassVar[str] = "session"
    subject_field: ClassVar[str] = "session_id"
    session_id: UUID
    user_id: UUID


class RoleTokensRevoked(Event):
    """A role changed: access tokens with an earlier generation of it are revoked."""

    aggregate: ClassVar[str] = "role"
    subject_field: ClassVar[str] = "role_id"
    role_id: UUID
    generation: int


class UserErased(UserEvent):
    """The user requested erasure: every consumer must delete the user's personal data."""


class CustomerChanged(Event):
    """The state of a customer after a change.

    `merged_into` is the customer that replaces this one for its user: consumers move this
    customer's data to it. With `reclaimed_by`, the user who proved to own the mailbox without
    knowing the account's password, they move orders only and delete all other data of this
    customer, or of that user, that is older than the event.
    """

    aggregate: ClassVar[str] = "customer"
    subject_field: ClassVar[str] = "customer_id"
    customer_id: UUID
    user_id: UUID | None = None
    status: Literal["active", "inactive", "blocked"]
    merged_into: UUID | None = None
    reclaimed_by: UUID | None = None
