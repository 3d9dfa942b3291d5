"""What identity says: facts about users and customers, by id only."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.message import Event, Kind


class UserEvent(Event):
    """A fact about one user."""

    kind: ClassVar[Kind] = "event"
    aggregate: ClassVar[str] = "user"
    subject_field: ClassVar[str] = "user_id"
    user_id: UUID
    customer_id: UUID | None = None


class UserRegistered(UserEvent):
    """Somebody opened an account; the e-mail is not proven yet."""


class EmailVerified(UserEvent):
    """The user proved to own the e-mail address."""


class UserStatusChanged(UserEvent):
    """The account was opened, paused or banned."""

    status: Literal["active", "inactive", "banned"]


class UserTokensRevoked(UserEvent):
    """Access tokens of the user with an earlier generation no longer count.

    Published when what they say became outdated (status, roles, customer), and when a password
    change, a ban, a block or a logout everywhere ended all sessions. `generation` is the user's in
    the tokens' `gen` claim.
    """

    generation: int


class SessionTokensRevoked(Event):
    """A session was ended: its access tokens no longer count."""

    aggregate: ClassVar[str] = "session"
    subject_field: ClassVar[str] = "session_id"
    session_id: UUID
    user_id: UUID


class RoleTokensRevoked(Event):
    """A role was changed: access tokens that name an earlier generation of it no longer count."""

    aggregate: ClassVar[str] = "role"
    subject_field: ClassVar[str] = "role_id"
    role_id: UUID
    generation: int


class UserErased(UserEvent):
    """The person asked to be forgotten: whoever keeps something of them must erase it."""


class CustomerChanged(Event):
    """The state of a customer after a change.

    `merged_into` is the customer that its user has instead: what belonged to this one belongs to
    that one from now on. With `reclaimed_by`, the user whose mailbox was proved without the
    account's password, only orders go along: whatever else was stored for this customer or for that
    user before this event is deleted.
    """

    aggregate: ClassVar[str] = "customer"
    subject_field: ClassVar[str] = "customer_id"
    customer_id: UUID
    user_id: UUID | None = None
    status: Literal["active", "inactive", "blocked"]
    merged_into: UUID | None = None
    reclaimed_by: UUID | None = None
