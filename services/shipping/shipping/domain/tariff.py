"""Tariffs: where a shipping method goes and what it costs there."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tariff:
    """Zones and price steps of one method.

    zones: `{"country": "US", "states": ["CA"]}`; no states means the whole country.
    tiers: `{"up_to": 2000, "price_amount": 590}` ascending, `up_to` included and in grams or minor
    units as `priced_by` says; None for the last one means without end.
    """

    zones: list[dict[str, Any]]
    priced_by: str
    tiers: list[dict[str, Any]]
    free_over_amount: int | None = None

    def serves(self, country: str, state: str | None) -> bool:
        """Whether a parcel can go there."""
        return any(
            zone["country"] == country and (not zone["states"] or state in zone["states"])
            for zone in self.zones
        )

    def price(self, subtotal_amount: int, weight_grams: int) -> int | None:
        """Say what sending costs in minor units; None when it is more than the method carries."""
        measure = weight_grams if self.priced_by == "weight" else subtotal_amount
        for tier in self.tiers:
            if tier["up_to"] is None or measure <= tier["up_to"]:
                is_free = (
                    self.free_over_amount is not None and subtotal_amount >= self.free_over_amount
                )
                return 0 if is_free else int(tier["price_amount"])
        return None
