"""The port: what payments asks of any provider, and how a question can end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from chassis.http import Unreachable
from payments.domain.charge import Charge


class OutcomeUnknown(Exception):
    """Nobody can tell whether it happened: ask again with the same key."""


class ProviderUnavailable(OutcomeUnknown, Unreachable):
    """The provider serves no one at present: asking again is no attempt that failed."""


class ProviderRefused(Exception):
    """The provider certainly did nothing; `code` is its reason."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class BadWebhook(Exception):
    """The webhook is signed but cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The payment a question is about; `reference` is the provider's own id of its charge."""

    payment_id: UUID
    order_id: UUID
    amount: int
    currency: str
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCharge:
    """A charge to make. `capture` tells whether to take the money at once."""

    method: str
    token: str | None = field(repr=False)
    capture: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """What the provider keeps of a means of payment; `expires_at` is `YYYY-MM`."""

    token: str = field(repr=False)
    brand: str | None
    last_four: str | None
    paypal_email: str | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A verified webhook."""

    id: str
    type: str
    charge: Charge


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Money that came to us at the provider, or left when negative; `reference` names the order."""

    reference: str
    amount: int
    currency: str
    created_at: datetime


class Provider(Protocol):
    """A payment provider. Each question raises OutcomeUnknown or ProviderRefused when it fails.

    `key` is the idempotency key: the same question with the same key has one effect for good.
    """

    name: str

    async def charge(self, target: Target, new: NewCharge, key: str) -> Charge:
        """Charge the customer, or promise to."""

    async def capture(self, target: Target, key: str) -> Charge:
        """Take the whole promised amount."""

    async def cancel(self, target: Target, key: str) -> Charge:
        """Give the charge up; the answer tells what became of it: perhaps it was captured."""

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Give captured money back; `refund` of the answer tells whether it worked."""

    async def find(self, target: Target) -> Charge | None:
        """The charge as it stands now; None when the provider knows of none."""

    async def ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """Entries of our account after a place, and the place to go on from; None at the end."""

    def is_saved_method(self, token: str) -> bool:
        """Tell whether a token names a stored means of payment instead of being a one-time one.

        A client never sends such a token: whose means of payment it is, only our own row says.
        """

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Keep a means of payment for later."""

    async def forget_method(self, token: str) -> None:
        """Forget a kept means of payment; one unknown is forgotten already."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Verify and read a webhook; `now` in seconds since 1970.

        Raises chassis.webhooks.BadSignature, BadWebhook.
        """
