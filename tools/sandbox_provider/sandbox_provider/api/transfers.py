"""The route that plays the customer's bank: money arriving for a charge paid by transfer."""

from fastapi import APIRouter, Depends, Response

from sandbox_provider.api.access import authenticated
from sandbox_provider.provider import TheProvider
from sandbox_provider.views import AmountOnly, ChargeId, ChargeView

router = APIRouter(prefix="/sandbox/transfers", dependencies=[Depends(authenticated)])


@router.post("/{charge_id}", response_model=ChargeView)
async def receive_transfer(
    charge_id: ChargeId, body: AmountOnly, provider: TheProvider
) -> Response:
    """Let any amount arrive, once, even after the charge was voided."""
    answer = await provider.change(charge_id, lambda charge: charge.receive(body.amount))
    return answer.response()
