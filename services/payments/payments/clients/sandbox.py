"""The sandbox provider over HTTP: a process of ours, called like a real provider."""

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
from payments.clients.provider import (
    BadWebhook,
    LedgerLine,
    NewCharge,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    SavedMethod,
    Target,
)
from payments.domain.charge import Charge, ChargeRefund, ChargeStatus, NextAction, Webhook

STATUSES: Final[dict[str, ChargeStatus]] = {
    "pending": "pending",
    "requires_action": "action_required",
    "authorized": "authorized",
    "succeeded": "captured",
    "failed": "failed",
    "voided": "voided",
}
SAVED_METHOD_PREFIX: Final = "pm_"
# The provider requires a token even for a bank transfer, which the customer's bank starts.
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


class CardBody(BaseModel):
    """What may be shown of a card; `exp` is `YYYY-MM`."""

    brand: Short
    last_four: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    exp: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$")]


class ActionBody(BaseModel):
    """Where the customer must go."""

    type: Short
    url: Annotated[Storable, Field(max_length=500)]


class RefundBody(BaseModel):
    """One refund of a charge."""

    id: Short
    amount: Minor
    status: Literal["succeeded", "failed"]
    failure_code: Short | None = None
    reference: Short | None = None


class ChargeBody(BaseModel):
    """A charge in the provider's JSON; members not listed here are ignored."""

    id: Short
    status: Literal["pending", "requires_action", "authorized", "succeeded", "failed", "voided"]
    amount: Minor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    captured_amount: Minor
    refunded_amount: Minor
    failure_code: Short | None = None
    next_action: ActionBody | None = None
    card: CardBody | None = None
    paypal_email: Annotated[Storable, Field(max_length=255)] | None = None
    metadata: dict[str, str] = {}
    refund: RefundBody | None = None

    def to_charge(self) -> Charge:
        """The charge in the terms of the port."""
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
            refund=_charge_refund(self.refund) if self.refund else None,
        )


class ChargesBody(BaseModel):
    """The charges of one reference."""

    charges: list[ChargeBody]


class EntryBody(BaseModel):
    """Half of a transfer in the provider's ledger; ours is the account `merchant`."""

    reference: Short
    account: Short
    amount: int
    currency: Short
    created_at: datetime


class LedgerBody(BaseModel):
    """Entries of the provider's ledger."""

    entries: list[EntryBody]
    next: int | None


class SavedMethodBody(BaseModel):
    """A payment method stored at the provider."""

    id: Short
    card: CardBody | None = None
    paypal_email: Annotated[Storable, Field(max_length=255)] | None = None


class WebhookBody(BaseModel):
    """The body of a webhook."""

    type: Short
    data: ChargeBody


class Sandbox:
    """One keep-alive client for all requests; `timeout` bounds each of them, in seconds."""

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
        """Charge a token; a decline is returned as a failed charge."""
        body = {
            "amount": target.amount,
            "currency": target.currency,
            "method": new.method,
            "token": new.token or TRANSFER_TOKEN,
            "capture": new.capture,
            "reference": str(target.order_id),
            "metadata": {"payment_id": str(target.payment_id)},
        }
        return await self._post_change("/v1/charges", key, body)

    async def capture(self, target: Target, key: str) -> Charge:
        """Capture the whole amount."""
        body = {"amount": target.amount}
        return await self._post_change(f"/v1/charges/{target.reference}/capture", key, body)

    async def cancel(self, target: Target, key: str) -> Charge:
        """Cancel the charge."""
        return await self._post_change(f"/v1/charges/{target.reference}/cancel", key, None)

    async def refund(self, target: Target, amount: int, key: str) -> Charge:
        """Return money; the key is also the refund's reference."""
        body = {"amount": amount, "reference": key}
        return await self._post_change(f"/v1/charges/{target.reference}/refund", key, body)

    async def find_charge(self, target: Target) -> Charge | None:
        """Get the charge by its id, or find it among those of the order."""
        if target.reference is not None:
            reply = await self._request("GET", f"/v1/charges/{target.reference}")
            return _parse(ChargeBody, reply).to_charge()
        reply = await self._request(
            "GET", "/v1/charges", params={"reference": str(target.order_id)}
        )
        found = [each.to_charge() for each in _parse(ChargesBody, reply).charges]
        return next((each for each in found if each.payment_id == target.payment_id), None)

    async def list_ledger(self, after: int, limit: int) -> tuple[Sequence[LedgerLine], int | None]:
        """List our account's entries in the provider's ledger."""
        reply = await self._request("GET", "/v1/ledger", params={"after": after, "limit": limit})
        page = _parse(LedgerBody, reply)
        ours = [entry for entry in page.entries if entry.account == "merchant"]
        lines = [LedgerLine(e.reference, e.amount, e.currency, e.created_at) for e in ours]
        return lines, page.next

    def is_saved_method(self, token: str) -> bool:
        """Stored methods are named `pm_…`, one-time tokens `tok_…`."""
        return token.startswith(SAVED_METHOD_PREFIX)

    async def save_method(
        self, kind: Literal["card", "paypal", "wallet"], token: str
    ) -> SavedMethod:
        """Store a token; a lost response leaves one behind that no row refers to."""
        body = {"type": kind, "token": token}
        reply = await self._request("POST", "/v1/payment-methods", key=str(new_id()), body=body)
        saved = _parse(SavedMethodBody, reply)
        return SavedMethod(
            token=saved.id,
            brand=saved.card.brand if saved.card else None,
            last_four=saved.card.last_four if saved.card else None,
            paypal_email=saved.paypal_email,
            expires_at=saved.card.exp if saved.card else None,
        )

    async def delete_method(self, token: str) -> None:
        """Delete a stored token."""
        try:
            await self._request("DELETE", f"/v1/payment-methods/{token}", key=str(new_id()))
        except ProviderRefused as refused:
            if refused.code != "not_found":
                raise

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """Verify the signature before any part of the body is parsed."""
        webhook_id = webhooks.verify(self._keys, headers, body, now)
        try:
            parsed = WebhookBody.model_validate_json(body)
        except ValidationError:
            raise BadWebhook from None
        return Webhook(webhook_id, parsed.type, parsed.data.to_charge())

    async def _post_change(self, path: str, key: str, body: dict[str, Any] | None) -> Charge:
        return _parse(ChargeBody, await self._request("POST", path, key=key, body=body)).to_charge()

    async def _request(
        self, method: str, path: str, *, key: str | None = None, **request: Any
    ) -> Reply:
        headers = {**self._authorization, **({"Idempotency-Key": key} if key else {})}
        try:
            reply = await self._http.request(
                method, f"{self._url}{path}", headers=headers, **request
            )
        except Unreachable as error:
            raise ProviderUnavailable(f"{method} to the provider: {error}") from None
        if reply.is_success:
            return reply
        if reply.status in REFUSALS:
            raise ProviderRefused(_error_code(reply))
        if reply.status in UNAVAILABLE:
            raise ProviderUnavailable(f"{method} to the provider: status {reply.status}")
        # A server error or a wrong key does not prove that the request had no effect.
        raise OutcomeUnknown(f"{method} to the provider: status {reply.status}")


def _parse(kind: type[A], reply: Reply) -> A:
    try:
        return kind.model_validate_json(reply.content)
    except ValidationError:
        raise OutcomeUnknown(f"the provider's {kind.__name__} is not valid") from None


def _error_code(reply: Reply) -> str:
    try:
        code = reply.json()["code"]
    except (ValueError, TypeError, KeyError):
        return f"http_{reply.status}"
    return str(code)[:100]


def _charge_refund(reply: RefundBody) -> ChargeRefund:
    return ChargeRefund(
        reference=reply.reference,
        succeeded=reply.status == "succeeded",
        amount=reply.amount,
        provider_reference=reply.id,
        failure_code=reply.failure_code,
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
