"""Roles, permissions, and the rule of authority.

No change exceeds the actor's own permissions, one active administrator remains, and an account
without a verified e-mail address receives no permission.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Forbidden, Invalid, Refused
from chassis.model import Aggregate, Retained
from contracts.identity import RoleTokensRevoked
from identity.domain import Base

ADMIN = "admin"
CUSTOMER = "customer"


class UnknownPermission(Invalid):
    """There is no such permission."""

    code = "unknown_permission"


class UnknownRole(Invalid):
    """There is no such role."""

    code = "unknown_role"


class RoleExists(Refused):
    """A role of this name exists already."""

    code = "role_exists"


class RoleBuiltIn(Refused):
    """A built-in role cannot be renamed; `admin` has every permission and `customer` none."""

    code = "role_built_in"


class RoleInUse(Refused):
    """The role is still assigned to a user."""

    code = "role_in_use"


class ExceedsOwnPermissions(Forbidden):
    """This exceeds your own permissions."""

    code = "not_yours_to_give"


class LastAdministrator(Refused):
    """One active administrator must remain."""

    code = "last_administrator"


class AddressNotVerified(Refused):
    """An account receives permissions only after its e-mail address was verified."""

    code = "address_not_verified"


class Permission(Base):
    """Something a caller may do in a service, such as `orders:refund`."""

    __tablename__ = "permissions"
    __retention__ = Retained("the fixed list of permissions")

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    description: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Role(Aggregate, Base):
    """A named set of permissions."""

    __tablename__ = "roles"
    __retention__ = Retained("a row for each role, which staff delete")
    __table_args__ = (
        CheckConstraint("name = lower(name)", name="name_lower_case"),
        Index("uq_roles_name", "name", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    description: Mapped[str] = mapped_column(String(255))
    is_built_in: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    def change(
        self, name: str, description: str, *, before: Collection[str], after: Collection[str]
    ) -> list[RoleTokensRevoked]:
        """Change name, description and permissions; raises RoleBuiltIn.

        Returns the revocation of access tokens whose claims the change makes outdated, if any.
        """
        if self.is_built_in and name != self.name:
            raise RoleBuiltIn
        if self.name == ADMIN and set(before) != set(after):
            raise RoleBuiltIn
        # Every registered user has this role, so every user would receive its permissions.
        if self.name == CUSTOMER and after:
            raise RoleBuiltIn
        is_outdated = name != self.name or set(before) != set(after)
        self.name = name
        self.description = description
        self.touch()
        if not is_outdated:
            return []
        return [self.record(RoleTokensRevoked(role_id=self.id, generation=self.version))]

    def ensure_deletable(self) -> None:
        """Raise RoleBuiltIn for a built-in role."""
        if self.is_built_in:
            raise RoleBuiltIn


class RolePermission(Base):
    """A permission of a role."""

    __tablename__ = "role_permissions"
    __retention__ = Retained("the permissions of each role, which staff change")
    __table_args__ = (Index("ix_role_permissions_permission", "permission"),)

    role_id: Mapped[UUID] = mapped_column(
        ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    permission: Mapped[str] = mapped_column(ForeignKey("permissions.name"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True, slots=True)
class Actor:
    """The user who makes a change, with the permissions that the database holds at that time."""

    id: UUID
    permissions: frozenset[str]

    @property
    def principal(self) -> str:
        """The actor's name in audit entries and in the rows they change."""
        return f"user:{self.id}"

    def ensure_has(self, permission: str) -> None:
        """Raise Forbidden if the actor lost a permission after their token was issued."""
        if permission not in self.permissions:
            raise Forbidden(f"You need the permission {permission}.")

    def ensure_covers(self, permissions: Collection[str]) -> None:
        """Raise ExceedsOwnPermissions unless the actor has all of these permissions."""
        if not self.permissions.issuperset(permissions):
            raise ExceedsOwnPermissions
