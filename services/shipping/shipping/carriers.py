"""Carriers: the port behind which each provider is reached, and its adapters."""

from typing import Final, Protocol
from uuid import UUID


class Carrier(Protocol):
    """What shipping needs from a provider; an adapter is chosen by the provider's `adapter`."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        """Give the number of a parcel when it is packed; None when people enter it.

        The same parcel always gets the same number, so that announcing it again is harmless.
        """


class Manual:
    """Somebody takes the parcel to the counter and enters the number on its receipt."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        """Not known before a person enters it."""
        return None


class Sandbox:
    """A carrier for trying things out: it carries nothing and numbers everything."""

    def tracking_number(self, shipment_id: UUID) -> str | None:
        """Use the random part of the parcel's id."""
        return f"SBX{shipment_id.hex[-16:].upper()}"


CARRIERS: Final[dict[str, Carrier]] = {"manual": Manual(), "sandbox": Sandbox()}
