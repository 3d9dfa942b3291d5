"""The sandbox provider over HTTP: our own provider process, spoken to as to a real one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from chassis import webhooks
from chassis.http import Http, Reply, Unreachable
from chassis.ids import new_id
from chassis.wire import Storable
from payments.domain.charge import Charge, ChargeRefund, ChargeStatus, NextAction
from payments.providers.port import (
    BadWebhook,
    LedgerLine,
    NewCharge,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    SavedMethod,
    Target,
    Webhook,
)

STATUSES: Final[dict[str, ChargeStatus]] = {
    "pending": "pending",
    "requires_action": "action_required",
    "authorized": "authorized",
    "succeeded": "captured",
    "failed": "failed",
    "voided": "voided",
}
# The provider wants a token even where the customer's bank moves the money by itself.
SAVED_METHOD_PREFIX: Final = "pm_"
TRANSFER_TOKEN: Final = "tok_ok"  # noqa: S105
REFUSALS: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
UNAVAILABLE: Final = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}

A = TypeVar("A", bound=BaseModel)
Minor = Annotated[int, Field(ge=0, le=10**12)]
Short = Annotated[Storable, Field(max_length=100)]


class CardAnswer(BaseModel):
    """What may be shown of a card; `exp` is `YYYY-MM`."""

    brand: Short
    last_four: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    exp: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$")]


class ActionAnswer(BaseModel):
    """Where the customer must go."""

    type: Short
    url: Annotated[Storable, Field(max_length=500)]


class RefundAnswer(BaseModel):
    """One refund of a charge."""

    id: Short
    amount: Minor
    status: Literal["succeeded", "failed"]
    failure_code: Short | None = None
    reference: Short | None = None


class ChargeAnswer(BaseModel):
    """A charge as the provider shows it; members not read here are ignored."""

    id: Short
    status: Literal["pending", "requires_action", "authorized", "succeeded", "failed", "voided"]
    amount: Minor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    captured_amount: Minor
    refunded_amount: Minor
    failure_code: Short | None = None
    next_action: ActionAnswer | None = None
    card: CardAnswer | None = None
    paypal_email: Annotated[Storable, Field(max_length=255)] | None = None
    metadata: dict[str, str] = {}
    refund: RefundAnswer | None = None

    def to_charge(self) -> Charge:
        """Say the same in our own words."""
        action = self.next_action
        return Charge(
            reference=self.id,
            status=STATUSES[self.status],
            amount=self.amount,
            currency=self.currency,
            captured_amount=self.captured_amount,
            refunded_amount=self.refunded_amount,
            payment_id=_uuid(self.metadata.get("payment_id")),
            failure_code=self.failure_code,
            next_action=NextAction(action.type, action.url) if action else None,
            brand=self.card.brand if self.card else None,
            last_four=self.card.last_four if self.card else None,
            paypal_email=self.paypal_email,
            refund=_refund(self.refund) if self.refund else None,
        )


class ChargesAnswer(BaseModel):
    """The charges of one reference."""

    charges: list[ChargeAnswer]


class EntryAnswer(BaseModel):
    """Half of a transfer in the provider's ledger; ours is the account `merchant`."""

    reference: Short
    account: Short
    amount: int
    currency: Short
    created_at: datetime


class LedgerAnswer(BaseModel):
    """Entries of the provider's ledger."""

    entries: list[EntryAnswer]
    next: int | None


class SavedAnswer(BaseModel):
    """A means of payment the provider keeps."""

    id: Short
    card: CardAnswer | None = None
    paypal_email: Annotated[Storable, Field(max_length=255)] | None = None


class WebhookBody(BaseModel):
    """What a webhook holds."""

    type: Short
    data: ChargeAnswer


class Sandbox:
    """One keep-alive client for all questions; `timeout` in seconds bounds each of them in all."""

    name = "sandbox"

    def __init__(self, url: str, api_key: str, keys: Sequence[bytes], timeout: float) -> None:
        self._keys = keys
        self._url = url.rstrip("/")
        self._authorization = {"Authorization": f"Bearer {api_key}"}
        self._http = Http(timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def charge(self, target: Target, new: NewCharge, key: str) -> Charge:
        """Charge a token; a decline is an answer like any other."""
        body = {
            "amount": target.amount,
            "currency": target.currency,
            "method": new.method,
            "token": new.token or TRANSFER_TOKEN,
            "capture": new.capture,
            "reference": str(target.order_id),
            "metadata": {"payment_id": str(target.payment_id)},
        }
        return await self._change("/v1/charges", key, body)

    async def capture(self, target: Target, key: str) -> Charge:
        """Take the whole amount."""
        body = {"amount": target.amount}
        return await self._change(f"/v1/charges/{target.reference}/capture", key, body)

    async def cancel(self, target: Target, key: str) -> Charge:
        """Give the charge up."""
        return await self._change(f"/v1/charges/{target.reference}/cancel", key, None)

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Give money back, under the key as its name."""
        body = {"amount": amount, "reference": key}
        return await self._change(f"/v1/charges/{target.reference}/refund", key, body)

    async def find(self, target: Target) -> Charge | None:
        """Ask for the charge by its id, or among those of the order."""
        if target.reference is not None:
            answer = await self._ask("GET", f"/v1/charges/{target.reference}")
            return _read(ChargeAnswer, answer).to_charge()
        answer = await self._ask("GET", "/v1/charges", params={"reference": str(target.order_id)})
        found = [each.to_charge() for each in _read(ChargesAnswer, answer).charges]
        return next((each for each in found if each.payment_id == target.payment_id), None)

    async def ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """Read the provider's ledger: what came to us or left."""
        answer = await self._ask("GET", "/v1/ledger", params={"after": after, "limit": limit})
        page = _read(LedgerAnswer, answer)
        ours = [entry for entry in page.entries if entry.account == "merchant"]
        lines = [LedgerLine(e.reference, e.amount, e.currency, e.created_at) for e in ours]
        return lines, page.next

    def is_saved_method(self, token: str) -> bool:
        """The provider's stored methods are named `pm_…`, its one-time tokens `tok_…`."""
        return token.startswith(SAVED_METHOD_PREFIX)

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Have a token kept; a lost answer leaves one behind that nobody can use."""
        body = {"type": kind, "token": token}
        answer = await self._ask("POST", "/v1/payment-methods", key=str(new_id()), body=body)
        saved = _read(SavedAnswer, answer)
        return SavedMethod(
            token=saved.id,
            brand=saved.card.brand if saved.card else None,
            last_four=saved.card.last_four if saved.card else None,
            paypal_email=saved.paypal_email,
            expires_at=saved.card.exp if saved.card else None,
        )

    async def forget_method(self, token: str) -> None:
        """Have a kept token forgotten."""
        try:
            await self._ask("DELETE", f"/v1/payment-methods/{token}", key=str(new_id()))
        except ProviderRefused as refused:
            if refused.code != "not_found":
                raise

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Check the signature before anything of the body is looked at."""
        webhook_id = webhooks.verify(self._keys, headers, body, now)
        try:
            read = WebhookBody.model_validate_json(body)
        except ValidationError:
            raise BadWebhook from None
        return Webhook(webhook_id, read.type, read.data.to_charge())

    async def _change(self, path: str, key: str, body: dict[str, Any] | None) -> Charge:
        return _read(ChargeAnswer, await self._ask("POST", path, key=key, body=body)).to_charge()

    async def _ask(
        self, method: str, path: str, *, key: str | None = None, **request: Any
    ) -> Reply:
        headers = {**self._authorization, **({"Idempotency-Key": key} if key else {})}
        try:
            answer = await self._http.request(
                method, f"{self._url}{path}", headers=headers, **request
            )
        except Unreachable as error:
            raise ProviderUnavailable(f"{method} to the provider: {error}") from None
        if answer.is_success:
            return answer
        if answer.status in REFUSALS:
            raise ProviderRefused(_code_of(answer))
        if answer.status in UNAVAILABLE:
            raise ProviderUnavailable(f"{method} to the provider: status {answer.status}")
        # Server faults, a wrong key: nothing here proves that nothing happened.
        raise OutcomeUnknown(f"{method} to the provider: status {answer.status}")


def _read(kind: type[A], answer: Reply) -> A:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError:
        raise OutcomeUnknown(f"the provider's {kind.__name__} cannot be read") from None


def _code_of(answer: Reply) -> str:
    try:
        code = answer.json()["code"]
    except (ValueError, TypeError, KeyError):
        return f"http_{answer.status}"
    return str(code)[:100]


def _refund(answer: RefundAnswer) -> ChargeRefund:
    return ChargeRefund(
        reference=answer.reference,
        succeeded=answer.status == "succeeded",
        amount=answer.amount,
        provider_reference=answer.id,
        failure_code=answer.failure_code,
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
