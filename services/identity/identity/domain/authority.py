"""The rule of authority: no change exceeds the actor's permissions; one administrator remains.

No change gives a permission to an account whose e-mail address is not verified.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from chassis.errors import Forbidden, Refused


class NotYoursToGive(Forbidden):
    """This exceeds your own permissions."""

    code = "not_yours_to_give"


class LastAdministrator(Refused):
    """One active administrator must remain."""

    code = "last_administrator"


class AddressNotVerified(Refused):
    """An account receives permissions only after its e-mail address was verified."""

    code = "address_not_verified"


@dataclass(frozen=True, slots=True)
class Actor:
    """The user who makes a change, with the permissions that the database has for them now."""

    id: UUID
    permissions: frozenset[str]

    @property
    def principal(self) -> str:
        """The actor's name in audit entries and in rows that they changed."""
        return f"user:{self.id}"

    def check_has(self, permission: str) -> None:
        """Refuse an actor who has lost a permission since their token was signed."""
        if permission not in self.permissions:
            raise Forbidden(f"You need the permission {permission}.")

    def check_covers(self, permissions: Collection[str]) -> None:
        """Refuse to give, take or command permissions that the actor does not have."""
        if not self.permissions.issuperset(permissions):
            raise NotYoursToGive
