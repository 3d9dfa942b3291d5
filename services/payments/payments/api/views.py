"""What payments shows of its money, and what it takes in text."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator

from chassis.wire import SafeText, View
from contracts.money import Money
from payments.domain.card_number import holds_card_number
from payments.domain.payment import Payment


def _refuse_card_number(value: str) -> str:
    if holds_card_number(value):
        raise ValueError("the text holds a card number")
    return value


NoCardNumber = Annotated[SafeText, AfterValidator(_refuse_card_number)]
"""Text without a card number; add a `Field(max_length=…)`."""


class NextActionView(View):
    """What the customer must do, and where."""

    type: str
    url: str


class PaymentView(View):
    """A payment, as its customer sees it."""

    id: UUID
    order_id: UUID
    order_number: str
    amount: Money
    captured: Money
    refunded: Money
    method: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    status: Literal[
        "initiated",
        "action_required",
        "authorized",
        "captured",
        "failed",
        "voided",
        "partially_refunded",
        "refunded",
    ]
    failure_reason: str | None
    next_action: NextActionView | None
    brand: str | None
    last_four: str | None
    paypal_email: str | None
    paid_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> "PaymentView":
        """Show a payment."""
        return cls.model_validate(shown(payment))


def shown(payment: Payment) -> dict[str, object]:
    """A payment's columns with its money and its next action put together."""
    values: dict[str, object] = {
        column.name: getattr(payment, column.name) for column in Payment.__table__.columns
    }
    action = {"type": payment.action_type, "url": payment.action_url}
    return values | {
        "amount": payment.money(payment.amount),
        "captured": payment.money(payment.captured_amount),
        "refunded": payment.money(payment.refunded_amount),
        "next_action": action if payment.action_type and payment.action_url else None,
    }
