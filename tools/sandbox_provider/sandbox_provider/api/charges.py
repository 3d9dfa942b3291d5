"""Routes of charges, and of bank transfers that arrive for one."""

import copy
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sandbox_provider import faults, store
from sandbox_provider.domain import Charge, Method, Refund, new_id
from sandbox_provider.idempotency import Answer, KeyedRequest
from sandbox_provider.provider import CurrentProvider, Provider, authenticated, idempotency_key
from sandbox_provider.switches import (
    PAYMENT_METHOD_MISMATCH,
    PAYMENT_METHOD_UNKNOWN,
    PAYPAL_EMAIL,
    SWITCHES,
    UNKNOWN,
)
from sandbox_provider.views import (
    AmountOnly,
    ChargeId,
    ChargeView,
    NewCharge,
    NewRefund,
    NoBody,
    Reference,
)

router = APIRouter(prefix="/v1/charges", dependencies=[Depends(authenticated)])
transfers_router = APIRouter(prefix="/sandbox/transfers", dependencies=[Depends(authenticated)])
Key = Annotated[str, Depends(idempotency_key)]

_WITH_CARD = (Method.CARD, Method.WALLET)


@router.post("", status_code=201, response_model=ChargeView)
async def create_charge(
    body: NewCharge, key: Key, request: Request, provider: CurrentProvider
) -> Response:
    """Charge a token; a declined charge is returned with its `status` as well."""
    charge = _new_charge(body, await _switch_name(provider, body))
    before = copy.copy(charge)
    charge.open()
    switch = charge.switch
    shown = before if switch.result_by_webhook_only else charge
    keyed = KeyedRequest.of(key, request.url.path, body.model_dump_json())
    answer = await provider.open_charge(keyed, charge, Answer(201, provider.view(shown)))
    if answer.replayed:
        return answer.response()
    return await faults.respond(
        switch.response_fault, request, answer.response(), provider.settings
    )


@router.post("/{charge_id}/capture", response_model=ChargeView)
async def capture_charge(
    charge_id: ChargeId, body: AmountOnly, key: Key, request: Request, provider: CurrentProvider
) -> Response:
    """Capture up to the authorized amount, once; the rest goes back to the customer."""
    keyed = KeyedRequest.of(key, request.url.path, body.model_dump_json())
    answer = await provider.apply_step(
        charge_id, lambda charge: charge.capture_authorized(body.amount), keyed
    )
    return answer.response()


@router.post("/{charge_id}/cancel", response_model=ChargeView)
async def cancel_charge(
    charge_id: ChargeId,
    key: Key,
    request: Request,
    provider: CurrentProvider,
    body: NoBody | None = None,
) -> Response:
    """Cancel the charge; it is returned as it now is, which may be captured."""
    keyed = KeyedRequest.of(key, request.url.path, "")
    return (await provider.apply_step(charge_id, Charge.cancel, keyed)).response()


@router.post("/{charge_id}/refund", response_model=ChargeView)
async def refund_charge(
    charge_id: ChargeId, body: NewRefund, key: Key, request: Request, provider: CurrentProvider
) -> Response:
    """Refund captured money; `refund.status` is the result."""

    def step(charge: Charge) -> Refund:
        return charge.refund(body.amount, body.reference)

    keyed = KeyedRequest.of(key, request.url.path, body.model_dump_json())
    return (await provider.apply_step(charge_id, step, keyed)).response()


@router.get("/{charge_id}", response_model=ChargeView)
async def get_charge(charge_id: ChargeId, provider: CurrentProvider) -> Response:
    """Get a charge."""
    async with provider.database.transaction() as connection:
        charge = await store.get_charge(connection, charge_id)
    return Response(provider.view(charge), media_type="application/json")


@router.get("")
async def list_charges(
    reference: Annotated[Reference, Query()],
    provider: CurrentProvider,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> dict[str, list[ChargeView]]:
    """List the charges of one reference, the newest first."""
    async with provider.database.transaction() as connection:
        found = await store.list_charges(connection, reference, limit)
    return {"charges": [ChargeView.of(charge, provider.settings.base_url) for charge in found]}


@transfers_router.post("/{charge_id}", response_model=ChargeView)
async def receive_transfer(
    charge_id: ChargeId, body: AmountOnly, provider: CurrentProvider
) -> Response:
    """Receive any amount, once, even after the charge was voided."""
    answer = await provider.apply_step(
        charge_id, lambda charge: charge.receive_transfer(body.amount)
    )
    return answer.response()


async def _switch_name(provider: Provider, body: NewCharge) -> str:
    if not body.token.startswith("pm_"):
        return body.token if body.token in SWITCHES else UNKNOWN
    async with provider.database.transaction() as connection:
        saved = await store.find_payment_method(connection, body.token)
    if saved is None:
        return PAYMENT_METHOD_UNKNOWN
    return saved.switch_name if saved.type == body.method else PAYMENT_METHOD_MISMATCH


def _new_charge(body: NewCharge, switch_name: str) -> Charge:
    shows_card = body.method in _WITH_CARD and switch_name in SWITCHES
    return Charge(
        id=new_id("ch"),
        reference=body.reference,
        amount=body.amount,
        currency=body.currency,
        method=body.method,
        capture=body.capture,
        switch_name=switch_name,
        saved=body.token.startswith("pm_"),
        card=SWITCHES[switch_name].card if shows_card else None,
        paypal_email=PAYPAL_EMAIL if body.method is Method.PAYPAL else None,
        return_url=body.return_url,
        metadata=body.metadata,
        created_at=datetime.now(UTC),
    )
