"""Carriers: the interface to each provider, and an adapter for each value of `adapter`."""

from typing import Final, Protocol
from uuid import UUID


class Carrier(Protocol):
    """What shipping needs from a provider."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        """The number of a packed parcel, the same for each call; None when staff enter it."""


class Manual:
    """Staff take the parcel to the carrier and enter the number on its receipt."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        return None


class Sandbox:
    """A carrier for development: it transports nothing and numbers every parcel."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        """A number from the random part of the shipment's id."""
        return f"SBX{shipment_id.hex[-16:].upper()}"


CARRIERS: Final[dict[str, Carrier]] = {"manual": Manual(), "sandbox": Sandbox()}
