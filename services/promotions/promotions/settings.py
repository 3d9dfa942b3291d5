"""Settings of promotions."""

from datetime import UTC, date, datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from chassis.settings import ServiceSettings


def zone_of(name: str) -> tzinfo:
    """The time zone of a name; UTC needs no database of zones, which small machines may lack."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _time_zone(name: str) -> str:
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a name of the IANA time zone database") from None
    return name


class PromotionsSettings(ServiceSettings):
    """Promotions' own settings."""

    shop_time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "UTC",
        description="where the shop's days begin and end, as an IANA time zone",
        examples=["Europe/Berlin"],
    )

    def today(self, now: datetime) -> date:
        """The shop's date at a moment."""
        return now.astimezone(zone_of(self.shop_time_zone)).date()
