"""Routes of saved payment methods: a token kept under a name of the provider's own."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sandbox_provider import store
from sandbox_provider.api.access import authenticated, idempotency_key
from sandbox_provider.db import transaction
from sandbox_provider.domain import Method
from sandbox_provider.idempotency import Answer, Keyed, claim
from sandbox_provider.ids import new_id
from sandbox_provider.problems import Problem
from sandbox_provider.provider import TheProvider
from sandbox_provider.switches import PAYPAL_EMAIL, SWITCHES
from sandbox_provider.views import CardView, NewPaymentMethod, PaymentMethodId, PaymentMethodView

router = APIRouter(prefix="/v1/payment-methods", dependencies=[Depends(authenticated)])


@router.post("", status_code=201, response_model=PaymentMethodView)
async def save_payment_method(
    body: NewPaymentMethod,
    key: Annotated[str, Depends(idempotency_key)],
    request: Request,
    provider: TheProvider,
) -> Response:
    """Keep what a token stands for; charging the saved method goes as the token says."""
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
    keyed = Keyed.of(key, request.url.path, body.model_dump_json())
    async with transaction(provider.database) as connection:
        if stored := await claim(connection, keyed, answer):
            return stored.response()
        await store.add_payment_method(connection, view.id, method, body.token)
    return answer.response()


@router.delete("/{payment_method_id}", status_code=204)
async def delete_payment_method(payment_method_id: PaymentMethodId, provider: TheProvider) -> None:
    """Forget a saved method; charging it afterwards fails."""
    async with transaction(provider.database) as connection:
        await store.delete_payment_method(connection, payment_method_id)
