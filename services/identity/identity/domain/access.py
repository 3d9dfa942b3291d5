"""What an access token says about its bearer."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Access:
    """Who somebody is, which customer they are, and what they may do in every service.

    `generations` are the versions of what this was read from: a token of earlier ones is outdated.
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
