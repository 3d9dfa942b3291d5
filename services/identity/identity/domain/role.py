"""Roles and permissions: what staff may do, and who may hand it on."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, Refused
from chassis.model import Aggregate
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
    """A built-in role keeps its name; `admin` permits everything and `customer` nothing."""

    code = "role_built_in"


class RoleInUse(Refused):
    """Somebody still has this role."""

    code = "role_in_use"


class Permission(Base):
    """Something a caller may do in some service, such as `orders:refund`."""

    __tablename__ = "permissions"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    description: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Role(Aggregate, Base):
    """A named set of permissions."""

    __tablename__ = "roles"
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
        """Change name, description and permissions, so far as a built-in role may change.

        Returns what to publish: access tokens say the name and the permissions as they were.
        """
        if self.is_built_in and name != self.name:
            raise RoleBuiltIn
        if self.name == ADMIN and set(before) != set(after):
            raise RoleBuiltIn
        # Everybody who registers has this role: a permission of it would be everybody's.
        if self.name == CUSTOMER and after:
            raise RoleBuiltIn
        is_outdated = name != self.name or set(before) != set(after)
        self.name = name
        self.description = description
        self.touch()
        if not is_outdated:
            return []
        return [self.record(RoleTokensRevoked(role_id=self.id, generation=self.version))]

    def check_may_go(self) -> None:
        """Refuse to delete a built-in role."""
        if self.is_built_in:
            raise RoleBuiltIn


class RolePermission(Base):
    """That a role includes a permission."""

    __tablename__ = "role_permissions"
    __table_args__ = (Index("ix_role_permissions_permission", "permission"),)

    role_id: Mapped[UUID] = mapped_column(
        ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    permission: Mapped[str] = mapped_column(ForeignKey("permissions.name"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
