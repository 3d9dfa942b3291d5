"""Routes of saved payment methods: a token stored under an id of the provider."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sandbox_provider import store
from sandbox_provider.domain import Method, new_id
from sandbox_provider.idempotency import Answer, KeyedRequest, claim
from sandbox_provider.problems import Problem
from sandbox_provider.provider import CurrentProvider, authenticated, idempotency_key
from sandbox_provider.switches import PAYPAL_EMAIL, SWITCHES
from sandbox_provider.views import CardView, NewPaymentMethod, PaymentMethodId, PaymentMethodView

router = APIRouter(prefix="/v1/payment-methods", dependencies=[Depends(authenticated)])


@router.post("", status_code=201, response_model=PaymentMethodView)
async def save_payment_method(
    body: NewPaymentMethod,
    key: Annotated[str, Depends(idempotency_key)],
    request: Request,
    provider: CurrentProvider,
) -> Response:
    """Save a token; charging the saved method behaves like charging the token."""
    switch = SWITCHES.get(body.token)
    if switch is None:
        raise Problem("invalid_token", "The token is not known.")
    method = Method(body.type)
    is_paypal = method is Method.PAYPAL
    view = PaymentMethodView(
        id=new_id("pm"),
        type=method,
        card=None if is_paypal else CardView.model_validate(switch.card),
        paypal_email=PAYPAL_EMAIL if is_paypal else None,
    )
    answer = Answer(201, view.model_dump_json())
    keyed = KeyedRequest.of(key, request.url.path, body.model_dump_json())
    async with provider.database.transaction() as connection:
        if stored := await claim(connection, keyed, answer):
            return stored.response()
        await store.add_payment_method(connection, view.id, method, body.token)
    return answer.response()


@router.delete("/{payment_method_id}", status_code=204)
async def delete_payment_method(
    payment_method_id: PaymentMethodId, provider: CurrentProvider
) -> None:
    """Delete a saved method; charging it afterwards fails."""
    async with provider.database.transaction() as connection:
        await store.delete_payment_method(connection, payment_method_id)
