"""The feed's settings."""

from pydantic import Field

from chassis.settings import ServiceSettings


class FeedSettings(ServiceSettings):
    """The feed's own settings, beside those of every service."""

    keep_days: int = Field(
        90, ge=1, le=3650, description="days for which events can be read", examples=["90"]
    )
