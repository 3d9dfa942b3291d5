"""Routes of charges: made, captured, cancelled, refunded and read."""

import copy
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sandbox_provider import faults, store
from sandbox_provider.api.access import authenticated, idempotency_key
from sandbox_provider.db import transaction
from sandbox_provider.domain import Charge, Method, Refund
from sandbox_provider.idempotency import Answer, Keyed
from sandbox_provider.ids import new_id
from sandbox_provider.provider import Provider, TheProvider
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
Key = Annotated[str, Depends(idempotency_key)]

_WITH_CARD = (Method.CARD, Method.WALLET)


@router.post("", status_code=201, response_model=ChargeView)
async def create_charge(
    body: NewCharge, key: Key, request: Request, provider: TheProvider
) -> Response:
    """Charge a token; `status` says how it went, and a decline is an answer like any other."""
    charge = _new_charge(body, await _switch_name(provider, body))
    before = copy.copy(charge)
    charge.open()
    switch = charge.switch
    shown = before if switch.result_by_webhook_only else charge
    keyed = Keyed.of(key, request.url.path, body.model_dump_json())
    answer = await provider.open(keyed, charge, Answer(201, provider.view(shown)))
    if answer.replayed:
        return answer.response()
    return await faults.answer(switch.answering, request, answer.response(), provider.settings)


@router.post("/{charge_id}/capture", response_model=ChargeView)
async def capture_charge(
    charge_id: ChargeId, body: AmountOnly, key: Key, request: Request, provider: TheProvider
) -> Response:
    """Take up to the authorized amount, once; what is left goes back to the customer."""
    keyed = Keyed.of(key, request.url.path, body.model_dump_json())
    answer = await provider.change(charge_id, lambda charge: charge.take(body.amount), keyed)
    return answer.response()


@router.post("/{charge_id}/cancel", response_model=ChargeView)
async def cancel_charge(
    charge_id: ChargeId,
    key: Key,
    request: Request,
    provider: TheProvider,
    body: NoBody | None = None,
) -> Response:
    """Give the charge up; the answer shows what became of it, which may be that it was captured."""
    keyed = Keyed.of(key, request.url.path, "")
    return (await provider.change(charge_id, Charge.cancel, keyed)).response()


@router.post("/{charge_id}/refund", response_model=ChargeView)
async def refund_charge(
    charge_id: ChargeId, body: NewRefund, key: Key, request: Request, provider: TheProvider
) -> Response:
    """Give captured money back; `refund.status` says whether it worked."""

    def step(charge: Charge) -> Refund:
        return charge.refund(body.amount, body.reference)

    keyed = Keyed.of(key, request.url.path, body.model_dump_json())
    return (await provider.change(charge_id, step, keyed)).response()


@router.get("/{charge_id}", response_model=ChargeView)
async def get_charge(charge_id: ChargeId, provider: TheProvider) -> Response:
    """Show a charge as it stands."""
    async with transaction(provider.database) as connection:
        charge = await store.get_charge(connection, charge_id)
    return Response(provider.view(charge), media_type="application/json")


@router.get("")
async def list_charges(
    reference: Annotated[Reference, Query()],
    provider: TheProvider,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> dict[str, list[ChargeView]]:
    """The charges made for one reference, the newest first."""
    async with transaction(provider.database) as connection:
        found = await store.list_charges(connection, reference, limit)
    return {"charges": [ChargeView.of(charge, provider.settings.base_url) for charge in found]}


async def _switch_name(provider: Provider, body: NewCharge) -> str:
    if not body.token.startswith("pm_"):
        return body.token if body.token in SWITCHES else UNKNOWN
    async with transaction(provider.database) as connection:
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
