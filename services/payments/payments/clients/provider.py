"""The port to payment providers, the choice between them, and cash on delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, Self
from uuid import UUID

from chassis.http import Unreachable
from chassis.webhooks import BadSignature
from payments.domain.charge import Charge, ChargeRefund, ChargeStatus, Webhook
from payments.domain.payment import Payment


class OutcomeUnknown(Exception):
    """The request may or may not have taken effect: repeat it with the same key."""


class ProviderUnavailable(OutcomeUnknown, Unreachable):
    """The provider serves no requests at present: a retry does not count as a failed attempt."""


class ProviderRefused(Exception):
    """The provider certainly did nothing; `code` is its reason."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class BadWebhook(Exception):
    """The webhook is signed but cannot be parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The payment a request is about; `reference` is the provider's own id of its charge."""

    payment_id: UUID
    order_id: UUID
    amount: int
    currency: str
    reference: str | None

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """The target for a payment."""
        return cls(
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.amount,
            currency=payment.currency,
            reference=payment.provider_reference,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCharge:
    """A charge to make; `capture` False only authorizes it."""

    method: str
    token: str | None = field(repr=False)
    capture: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """A payment method stored at the provider; `expires_at` is `YYYY-MM`."""

    token: str = field(repr=False)
    brand: str | None
    last_four: str | None
    paypal_email: str | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Money we received at the provider, or paid when negative; `reference` names the order."""

    reference: str
    amount: int
    currency: str
    created_at: datetime


class Provider(Protocol):
    """A payment provider. Each request raises OutcomeUnknown or ProviderRefused when it fails.

    `key` is the idempotency key: the same request with the same key takes effect once, for good.
    """

    name: str

    async def charge(self, target: Target, new: NewCharge, key: str) -> Charge:
        """Charge the customer, or authorize the amount."""

    async def capture(self, target: Target, key: str) -> Charge:
        """Capture the whole authorized amount."""

    async def cancel(self, target: Target, key: str) -> Charge:
        """Cancel the charge; returns it as it then is, which may be captured."""

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Return captured money; the charge's `refund` holds the result."""

    async def find_charge(self, target: Target) -> Charge | None:
        """The charge as it is now; None when the provider has none."""

    async def list_ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """Entries of our account after a position, and the next position; None at the end."""

    def is_saved_method(self, token: str) -> bool:
        """Whether a token names a stored payment method instead of being a one-time one.

        A client never sends such a token: only our own row proves whose payment method it is.
        """

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Store a payment method for later charges."""

    async def delete_method(self, token: str) -> None:
        """Delete a stored payment method; an unknown one counts as deleted."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Verify and parse a webhook; `now` in seconds since 1970.

        Raises chassis.webhooks.BadSignature, BadWebhook.
        """


@dataclass(frozen=True, slots=True)
class Providers:
    """The provider reached over the network, and cash on delivery."""

    online: Provider
    offline: Provider

    def for_method(self, method: str) -> Provider:
        """The provider that collects payments of a method."""
        return self.offline if method == "cod" else self.online

    def find(self, name: str) -> Provider | None:
        """The provider that a stored row or a webhook's path names."""
        return next((one for one in (self.online, self.offline) if one.name == name), None)

    def of(self, payment: Payment) -> Provider:
        """The provider of a payment; raises LookupError for one no longer served."""
        found = self.find(payment.provider)
        if found is None:
            raise LookupError(f"no provider {payment.provider}")
        return found


class CashOnDelivery:
    """Authorized at once, captured when the parcel is handed over; no provider is called."""

    name = "offline"

    async def charge(self, target: Target, new: NewCharge, key: str) -> Charge:
        """Authorize: the customer pays at the door."""
        return _cash_charge(target, "authorized")

    async def capture(self, target: Target, key: str) -> Charge:
        """Record that the parcel carrier collected the money."""
        return _cash_charge(target, "captured")

    async def cancel(self, target: Target, key: str) -> Charge:
        """Void the authorization."""
        return _cash_charge(target, "voided")

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Record that staff return the money."""
        result = ChargeRefund(reference=key, succeeded=True, amount=amount)
        return _cash_charge(target, "captured", result)

    async def find_charge(self, target: Target) -> Charge | None:
        """None: no provider stores charges."""
        return None

    async def list_ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """No entries: the only ledger of cash is our own."""
        return (), None

    def is_saved_method(self, token: str) -> bool:
        """False: cash has no tokens."""
        return False

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Refuse: cash cannot be saved."""
        raise ProviderRefused("not_supported")

    async def delete_method(self, token: str) -> None:
        """Do nothing: no method is ever stored."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Refuse: no provider sends webhooks about cash."""
        raise BadSignature


def _cash_charge(
    target: Target, status: ChargeStatus, refund: ChargeRefund | None = None
) -> Charge:
    return Charge(
        reference=target.reference or f"cod-{target.payment_id}",
        status=status,
        amount=target.amount,
        currency=target.currency,
        captured_amount=target.amount if status == "captured" else 0,
        payment_id=target.payment_id,
        refund=refund,
    )
