"""How users look from outside."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.wire import View
from identity.domain.user import User


class UserView(View):
    """A user; `email_verified` false means that the mailbox is not proven yet."""

    id: UUID
    customer_id: UUID
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    phone: str | None
    status: str
    registration_status: str
    roles: list[str]
    created_at: datetime

    @classmethod
    def of(cls, user: User, customer_id: UUID, roles: Sequence[str]) -> "UserView":
        """Show a user."""
        return cls(
            id=user.id,
            customer_id=customer_id,
            email=user.email,
            email_verified=user.is_verified,
            first_name=user.first_name,
            last_name=user.last_name,
            phone=user.phone,
            status=user.status,
            registration_status=user.registration_status,
            roles=list(roles),
            created_at=user.created_at,
        )
