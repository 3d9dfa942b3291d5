"""Payment at the door: no provider stands behind it, so nothing is asked of anybody."""

from collections.abc import Mapping, Sequence
from typing import Literal

from chassis.webhooks import BadSignature
from payments.domain.charge import Charge, ChargeRefund, ChargeStatus
from payments.providers.port import (
    LedgerLine,
    NewCharge,
    ProviderRefused,
    SavedMethod,
    Target,
    Webhook,
)


class Offline:
    """Cash on delivery: promised at once, captured when the parcel is handed over and paid."""

    name = "offline"

    async def charge(self, target: Target, new: NewCharge, key: str) -> Charge:
        """The customer promised to pay at the door."""
        return _charge(target, "authorized")

    async def capture(self, target: Target, key: str) -> Charge:
        """The carrier took the money."""
        return _charge(target, "captured")

    async def cancel(self, target: Target, key: str) -> Charge:
        """Nobody will ask for the money."""
        return _charge(target, "voided")

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Staff hand the money back."""
        result = ChargeRefund(reference=key, succeeded=True, amount=amount)
        return _charge(target, "captured", result)

    async def find(self, target: Target) -> Charge | None:
        """There is nobody to ask."""
        return None

    async def ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """The cash box keeps no books but ours."""
        return (), None

    def is_saved_method(self, token: str) -> bool:
        """Cash is not stored."""
        return False

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Cash cannot be kept on file."""
        raise ProviderRefused("not_supported")

    async def forget_method(self, token: str) -> None:
        """Nothing was kept."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Nobody may speak for the cash box."""
        raise BadSignature


def _charge(target: Target, status: ChargeStatus, refund: ChargeRefund | None = None) -> Charge:
    return Charge(
        reference=target.reference or f"cod-{target.payment_id}",
        status=status,
        amount=target.amount,
        currency=target.currency,
        captured_amount=target.amount if status == "captured" else 0,
        payment_id=target.payment_id,
        refund=refund,
    )
