"""Catalog's settings beside those that every service has."""

from pydantic import Field

from chassis.settings import ServiceSettings
from contracts.money import Currency


class CatalogSettings(ServiceSettings):
    """Catalog's own settings."""

    facet_values: int = Field(
        50, ge=1, le=500, description="most values counted per facet", examples=["50"]
    )
    default_currency: Currency = Field(
        "USD", description="the currency of prices where a request names none", examples=["USD"]
    )
