"""Attempts: how often something was tried in a window, so that guessing and flooding stop."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Problem
from identity.domain import Base

FIRST_DELAY = 0.5
MOST_DOUBLINGS = 16


class TooManyAttempts(Problem):
    """Tried too often; wait before trying again."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(headers={"Retry-After": str(max(1, ceil(wait_seconds)))})


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """How many logins are tried in one window of `window` seconds before each limit applies.

    An account from one address and an address over all accounts are refused beyond their limit. An
    account over all addresses is delayed instead: a refusal would let any stranger lock it out.
    """

    per_account_and_address: int
    per_address: int
    per_account: int
    window: float
    longest_delay: float

    def delay(self, tries: int) -> float:
        """Return the seconds that the account's login number `tries` of this window waits.

        It doubles from half a second with each try beyond the limit, up to `longest_delay`.
        """
        beyond = tries - self.per_account
        if beyond <= 0:
            return 0.0
        return min(FIRST_DELAY * 2.0 ** min(beyond - 1, MOST_DOUBLINGS), self.longest_delay)


class Attempts(Base):
    """How often one thing was tried since its window began; `key` is a hash of what was tried."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_window_ends_at", "window_ends_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    tries: Mapped[int]
    window_ends_at: Mapped[datetime]
