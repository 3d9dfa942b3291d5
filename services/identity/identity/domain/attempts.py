"""Attempts: how often something was tried in a window, so that guessing and flooding stop."""

from datetime import datetime
from math import ceil

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Problem
from identity.domain import Base


class TooManyAttempts(Problem):
    """Tried too often; wait before trying again."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(headers={"Retry-After": str(max(1, ceil(wait_seconds)))})


class Attempts(Base):
    """How often one thing was tried since its window began; `key` is a hash of what was tried."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_window_ends_at", "window_ends_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    tries: Mapped[int]
    window_ends_at: Mapped[datetime]
