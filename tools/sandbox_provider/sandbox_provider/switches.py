"""The test tokens, and the behaviour of a charge made with each of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Card:
    """What may be shown of a card; `exp` is `YYYY-MM`."""

    brand: str
    last_four: str
    exp: str


class ResponseFault(StrEnum):
    """What happens to the first response, after the charge has been committed."""

    PROMPT = "prompt"
    SLOW = "slow"
    HANG = "hang"
    ERROR = "error"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The behaviour of everything done with one token; the defaults are the happy path."""

    card: Card = Card("visa", "4242", "2032-12")
    failure_code: str | None = None
    requires_action: bool = False
    captured_on_cancel: bool = False
    capture_fails: bool = False
    refund_fails_once: bool = False
    response_fault: ResponseFault = ResponseFault.PROMPT
    result_by_webhook_only: bool = False
    webhook_copies: int = 1
    late_webhooks: bool = False
    reversed_webhooks: bool = False


_MASTERCARD = Card("mastercard", "4444", "2031-06")
_EXPIRED = Card("visa", "0069", "2024-01")
_AMEX = Card("amex", "0005", "2031-09")

# fmt: off
SWITCHES: Final = {
    "tok_ok":                    Switch(),
    "tok_ok_mastercard":         Switch(card=_MASTERCARD),
    "tok_declined":              Switch(card=_MASTERCARD, failure_code="card_declined"),
    "tok_insufficient_funds":    Switch(card=_AMEX, failure_code="insufficient_funds"),
    "tok_expired":               Switch(card=_EXPIRED, failure_code="expired_card"),
    "tok_action":                Switch(requires_action=True),
    "tok_late_capture":          Switch(requires_action=True, captured_on_cancel=True),
    "tok_capture_fails":         Switch(capture_fails=True),
    "tok_refund_fails_once":     Switch(refund_fails_once=True),
    "tok_slow":                  Switch(response_fault=ResponseFault.SLOW),
    "tok_timeout_after_charge":  Switch(response_fault=ResponseFault.HANG),
    "tok_error_after_charge":    Switch(response_fault=ResponseFault.ERROR),
    "tok_drop_after_charge":     Switch(response_fault=ResponseFault.DROP),
    "tok_webhook_only":          Switch(result_by_webhook_only=True),
    "tok_duplicate_webhooks":    Switch(webhook_copies=5),
    "tok_late_webhook":          Switch(late_webhooks=True),
    "tok_reversed_webhooks":     Switch(reversed_webhooks=True),
}
# fmt: on

PAYPAL_EMAIL: Final = "buyer@example.com"
UNKNOWN: Final = "tok_unknown"
PAYMENT_METHOD_UNKNOWN: Final = "pm_unknown"
PAYMENT_METHOD_MISMATCH: Final = "pm_mismatch"
_REFUSED: Final = {
    UNKNOWN: Switch(failure_code="invalid_token"),
    PAYMENT_METHOD_UNKNOWN: Switch(failure_code="payment_method_unknown"),
    PAYMENT_METHOD_MISMATCH: Switch(failure_code="payment_method_mismatch"),
}


def switch_of(name: str) -> Switch:
    """The switch of a stored charge."""
    return SWITCHES.get(name) or _REFUSED[name]
