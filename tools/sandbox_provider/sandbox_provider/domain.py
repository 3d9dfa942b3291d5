"""What a charge may do and must refuse, with the ledger entries and webhooks of each step."""

import copy
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from uuid_utils import uuid7

from sandbox_provider.switches import Card, Switch, switch_of

_LETTERS: Final = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")


def new_id(prefix: str) -> str:
    """A new id that sorts by time, such as `ch_bdrs…`.

    It has no digits, so that none can be taken for a card number, and no vowels, so that none
    spells a word.
    """
    return f"{prefix}_{uuid7().hex.translate(_LETTERS)}"


class Method(StrEnum):
    """How the customer pays."""

    CARD = "card"
    PAYPAL = "paypal"
    WALLET = "wallet"
    BANK_TRANSFER = "bank_transfer"


class Status(StrEnum):
    """The status of a charge; a late bank transfer still turns voided into succeeded."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    VOIDED = "voided"


class Account(StrEnum):
    """Where money can be: with the customer, held for a charge, or with the merchant."""

    CUSTOMER = "customer"
    HELD = "held"
    MERCHANT = "merchant"


class Transfer(StrEnum):
    """The ways money moves between accounts."""

    CHARGE = "charge"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


ROUTES: Final = {
    Transfer.CHARGE: (Account.CUSTOMER, Account.HELD),
    Transfer.CAPTURE: (Account.HELD, Account.MERCHANT),
    Transfer.VOID: (Account.HELD, Account.CUSTOMER),
    Transfer.REFUND: (Account.MERCHANT, Account.CUSTOMER),
}


class Refused(Exception):
    """The status of a charge forbids the step; `code` is stable, `detail` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money to return; `reference` is the merchant's own name for it."""

    id: str
    amount: int
    status: str
    failure_code: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Half of a transfer: minor units that an account received, or paid when negative."""

    transfer: Transfer
    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One webhook to send: its type and the charge after that step."""

    type: str
    charge: "Charge"
    refund: Refund | None = None


@dataclass(eq=False, kw_only=True)
class Charge:
    """One payment of a merchant's order; all amounts are minor units of `currency`."""

    id: str
    reference: str
    amount: int
    currency: str
    method: Method
    capture: bool
    switch_name: str
    created_at: datetime
    saved: bool = False
    status: Status = Status.PENDING
    captured_amount: int = 0
    refunded_amount: int = 0
    failed_refunds: int = 0
    failure_code: str | None = None
    card: Card | None = None
    paypal_email: str | None = None
    return_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    version: int = 1
    entries: list[Entry] = field(default_factory=list)
    webhook_events: list[WebhookEvent] = field(default_factory=list)

    @cached_property
    def switch(self) -> Switch:
        """The behaviour of this charge's token."""
        return switch_of(self.switch_name)

    @property
    def awaits_transfer(self) -> bool:
        """Whether a bank transfer is still to come."""
        return self.method is Method.BANK_TRANSFER and self.status is Status.PENDING

    @property
    def awaits_customer(self) -> bool:
        """Whether the charge waits for its customer."""
        return self.status is Status.REQUIRES_ACTION or self.awaits_transfer

    def open(self) -> None:
        """Make the first decision. PayPal requires its customer, unless the account was saved."""
        if self.switch.failure_code:
            self._fail(self.switch.failure_code)
        elif self.method is Method.BANK_TRANSFER:
            self.status = Status.PENDING
        elif self.switch.requires_action or (self.method is Method.PAYPAL and not self.saved):
            self.status = Status.REQUIRES_ACTION
        else:
            self._collect()

    def confirm(self) -> None:
        """Confirm for the customer; a settled charge stays as it is."""
        if self.awaits_transfer:
            self.receive_transfer(self.amount)
        elif self.status is Status.REQUIRES_ACTION:
            self._collect()

    def decline(self) -> None:
        """Decline for the customer; a settled charge stays as it is."""
        if self.awaits_customer:
            self._fail("customer_declined")

    def capture_authorized(self, amount: int) -> None:
        """Capture up to the authorized amount, once; the rest goes back to the customer."""
        if self.status is not Status.AUTHORIZED:
            raise Refused("not_authorized", f"The charge is {self.status}, not authorized.")
        if amount > self.amount:
            raise Refused("capture_exceeds_authorized", f"At most {self.amount} can be captured.")
        self._capture(amount)

    def cancel(self) -> None:
        """Void what is not captured; a settled charge, even a captured one, stays as it is."""
        if self.status is Status.REQUIRES_ACTION and self.switch.captured_on_cancel:
            # The customer confirms at the moment the merchant cancels.
            self._move(Transfer.CHARGE, self.amount)
            self._capture(self.amount)
            return
        if self.status not in (Status.PENDING, Status.REQUIRES_ACTION, Status.AUTHORIZED):
            return
        if self.status is Status.AUTHORIZED:
            self._move(Transfer.VOID, self.amount)
        self.status = Status.VOIDED
        self._add_webhook("charge.voided")

    def refund(self, amount: int, reference: str | None) -> Refund:
        """Return captured money, never more than was captured."""
        left = self.captured_amount - self.refunded_amount
        if self.status is not Status.SUCCEEDED:
            raise Refused("not_captured", f"The charge is {self.status}, nothing was captured.")
        if amount > left:
            raise Refused("refund_exceeds_captured", f"At most {left} can still be refunded.")
        if self.switch.refund_fails_once and not self.failed_refunds:
            self.failed_refunds += 1
            return self._add_refund("refund.failed", amount, reference, "refund_failed")
        self._move(Transfer.REFUND, amount)
        self.refunded_amount += amount
        return self._add_refund("refund.succeeded", amount, reference)

    def receive_transfer(self, amount: int) -> None:
        """Receive a bank transfer, perhaps of another amount, perhaps after a cancellation."""
        if self.method is not Method.BANK_TRANSFER:
            raise Refused("not_a_transfer", f"The charge is paid by {self.method}.")
        if self.status not in (Status.PENDING, Status.VOIDED):
            raise Refused("transfer_not_expected", f"The charge is {self.status}.")
        self._move(Transfer.CHARGE, amount)
        self._move(Transfer.CAPTURE, amount)
        self.captured_amount = amount
        self.status = Status.SUCCEEDED
        self._add_webhook("charge.succeeded")

    def _add_refund(
        self, event: str, amount: int, reference: str | None, failure_code: str | None = None
    ) -> Refund:
        status = "failed" if failure_code else "succeeded"
        refund = Refund(
            id=new_id("re"),
            amount=amount,
            status=status,
            failure_code=failure_code,
            reference=reference,
        )
        self._add_webhook(event, refund)
        return refund

    def _collect(self) -> None:
        self._move(Transfer.CHARGE, self.amount)
        self.status = Status.AUTHORIZED
        if not self.capture or self.switch.reversed_webhooks:
            self._add_webhook("charge.authorized")
        if self.capture:
            self._capture(self.amount)

    def _capture(self, amount: int) -> None:
        if self.switch.capture_fails:
            self._move(Transfer.VOID, self.amount)
            self._fail("capture_failed")
            return
        self._move(Transfer.CAPTURE, amount)
        if amount < self.amount:
            self._move(Transfer.VOID, self.amount - amount)
        self.captured_amount = amount
        self.status = Status.SUCCEEDED
        self._add_webhook("charge.succeeded")

    def _fail(self, code: str) -> None:
        self.status = Status.FAILED
        self.failure_code = code
        self._add_webhook("charge.failed")

    def _move(self, transfer: Transfer, amount: int) -> None:
        source, target = ROUTES[transfer]
        self.entries += [Entry(transfer, source, -amount), Entry(transfer, target, amount)]

    def _add_webhook(self, event: str, refund: Refund | None = None) -> None:
        self.version += 1
        self.webhook_events.append(WebhookEvent(event, copy.copy(self), refund))
