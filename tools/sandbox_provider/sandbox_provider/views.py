"""Request and response bodies, and the webhooks built from a charge."""

from datetime import datetime
from typing import Annotated, Literal, TypedDict

from fastapi import Path
from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field

from sandbox_provider.domain import Charge, Method, Refund, Status, WebhookEvent, new_id

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Amount = Annotated[int, Field(ge=1, le=999_999_999_999)]
Reference = Annotated[str, Field(min_length=1, max_length=100, pattern=_PRINTABLE)]
Token = Annotated[str, Field(min_length=1, max_length=100, pattern=_PRINTABLE)]
MetadataName = Annotated[str, Field(min_length=1, max_length=40, pattern=_PRINTABLE)]
MetadataValue = Annotated[str, Field(max_length=500, pattern=_PRINTABLE)]
ChargeId = Annotated[str, Path(pattern=r"^ch_[a-z]{1,40}$")]
PaymentMethodId = Annotated[str, Path(pattern=r"^pm_[a-z]{1,40}$")]


def _well_formed(url: str) -> str:
    AnyHttpUrl(url)
    return url


ReturnUrl = Annotated[
    str,
    Field(max_length=500, pattern=r"^https?://[^\x00-\x20\x7f]+$"),
    AfterValidator(_well_formed),
]


class Request(BaseModel):
    """Strict: no unknown field, no type turned into another."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewCharge(Request):
    """A charge to make; `token` is a test token or a saved method."""

    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    method: Annotated[Method, Field(strict=False)]
    token: Token
    capture: bool = True
    reference: Reference
    return_url: ReturnUrl | None = None
    metadata: Annotated[dict[MetadataName, MetadataValue], Field(max_length=20)] = {}


class AmountOnly(Request):
    """Minor units of the charge's currency."""

    amount: Amount


class NewRefund(AmountOnly):
    """A refund to make, under a name of the merchant's own if wanted."""

    reference: Reference | None = None


class NoBody(Request):
    """An empty object, or nothing at all."""


class NewPaymentMethod(Request):
    """A token to save."""

    type: Literal["card", "paypal", "wallet"]
    token: Token


class View(BaseModel):
    """A view of a row or an object with the same fields."""

    model_config = ConfigDict(from_attributes=True)


class CardView(View):
    """What may be shown of a card; `exp` is `YYYY-MM`."""

    brand: str
    last_four: str
    exp: str


class PaymentMethodView(View):
    """A saved method; its `id` is charged in place of a token."""

    id: str
    type: Method
    card: CardView | None
    paypal_email: str | None


class NextAction(View):
    """Where the customer must go before the charge can go on."""

    type: Literal["redirect", "bank_transfer"]
    url: str


class RefundView(View):
    """A refund, succeeded or failed."""

    id: str
    amount: int
    status: Literal["succeeded", "failed"]
    failure_code: str | None
    reference: str | None


class ChargeView(View):
    """A charge; `refund` is set where an answer or a webhook is about one refund."""

    id: str
    reference: str
    status: Status
    version: int
    amount: int
    captured_amount: int
    refunded_amount: int
    currency: str
    method: Method
    capture: bool
    failure_code: str | None
    next_action: NextAction | None
    card: CardView | None
    paypal_email: str | None
    metadata: dict[str, str]
    created: datetime
    refund: RefundView | None

    @classmethod
    def of(cls, charge: Charge, base_url: str, refund: Refund | None = None) -> "ChargeView":
        """The view of a charge, and of the refund it is about."""
        return cls(
            **{name: getattr(charge, name) for name in _PLAIN},
            created=charge.created_at,
            next_action=_next_action(charge, base_url),
            card=CardView.model_validate(charge.card) if charge.card else None,
            refund=RefundView.model_validate(refund) if refund else None,
        )


_PLAIN = ["id", "reference", "status", "version", "amount", "captured_amount", "refunded_amount"]
_PLAIN += ["currency", "method", "capture", "failure_code", "paypal_email", "metadata"]


class EntryView(View):
    """Half of a transfer; the amounts of a transfer, a reference and the ledger sum to zero."""

    id: int
    charge_id: str
    reference: str
    transfer: str
    account: str
    amount: int
    currency: str
    created_at: datetime


class WebhookView(View):
    """One webhook: its type, and the charge at that time."""

    id: str
    type: str
    created: datetime
    data: ChargeView


class WebhookRow(TypedDict):
    """A webhook as it is stored."""

    id: str
    charge_id: str
    lane: str
    body: str
    copies: int
    next_attempt_at: datetime


def webhook_rows(
    charge: Charge, base_url: str, *, now: datetime, late: datetime
) -> list[WebhookRow]:
    """The webhooks of a charge as rows; `late` is when a late one may be sent."""
    rows: list[WebhookRow] = []
    for event in charge.webhook_events:
        view = _webhook(event, base_url, now)
        overtaken = charge.switch.reversed_webhooks and event.type == "charge.authorized"
        rows.append(
            {
                "id": view.id,
                "charge_id": charge.id,
                "lane": view.id if charge.switch.reversed_webhooks else charge.id,
                "body": view.model_dump_json(),
                "copies": charge.switch.webhook_copies,
                "next_attempt_at": late if overtaken or charge.switch.late_webhooks else now,
            }
        )
    return rows


def _webhook(event: WebhookEvent, base_url: str, now: datetime) -> WebhookView:
    data = ChargeView.of(event.charge, base_url, event.refund)
    return WebhookView(id=new_id("evt"), type=event.type, created=now, data=data)


def _next_action(charge: Charge, base_url: str) -> NextAction | None:
    if not charge.awaits_customer:
        return None
    kind: Literal["redirect", "bank_transfer"] = (
        "bank_transfer" if charge.method is Method.BANK_TRANSFER else "redirect"
    )
    return NextAction(type=kind, url=f"{base_url}/pay/{charge.id}")
