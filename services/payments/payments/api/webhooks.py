"""The route by which providers tell what happened; signed, de-duplicated, in any order."""

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, context, outbox
from chassis.db import Tx
from chassis.errors import Invalid, NotFound
from chassis.ids import utcnow
from payments.bus import providers
from payments.domain.charge import Charge
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.provider_event import Effect
from payments.providers.port import BadWebhook, Webhook
from payments.store import payments, provider_events, refunds

log = structlog.get_logger()

router = APIRouter(prefix="/v1/webhooks/payments")


# What a provider sends is its own affair; the signature is checked over the very bytes.
SENT = {"schema": {"type": "object"}, "example": {"type": "charge.captured", "data": {}}}


@router.post(
    "/{provider}",
    status_code=204,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": SENT}}},
)
async def receive_payment_webhook(provider: str, request: Request, tx: Tx) -> None:
    """Take a signed webhook (Standard Webhooks).

    Once the signature holds, the answer is 204 whatever the webhook says: sent again it would say
    the same. One about an unknown payment is kept and has no effect.
    """
    speaker = providers().named(provider)
    if speaker is None:
        raise NotFound
    try:
        webhook = speaker.read_webhook(request.headers, await request.body(), clock.now())
    except BadWebhook:
        raise Invalid("The webhook cannot be read.", code="unreadable_webhook") from None
    context.set_actor(f"provider:{speaker.name}")
    found = await _find(tx, speaker.name, webhook.charge)
    if found is None:
        if await provider_events.add_event(tx, speaker.name, webhook, None, "unknown_payment"):
            log.warning("webhook about an unknown payment", event_id=webhook.id)
        return
    await _apply(tx, *found, webhook)


async def _find(
    tx: AsyncSession, provider: str, charge: Charge
) -> tuple[OrderPayments, Payment] | None:
    """The payment a charge belongs to, locked: by our own id in it, else by the provider's."""
    payment_id = charge.payment_id or await payments.find_id_by_reference(
        tx, provider, charge.reference
    )
    if payment_id is None:
        return None
    try:
        order, payment = await payments.lock(tx, payment_id)
    except NotFound:
        return None
    return (order, payment) if payment.provider == provider else None


async def _apply(
    tx: AsyncSession, order: OrderPayments, payment: Payment, webhook: Webhook
) -> None:
    """Move the payment on, or have the provider asked when its word does not fit.

    Nothing is looked at, still less changed, before the event is known to be new.
    """
    if not await provider_events.add_event(tx, payment.provider, webhook, payment.id, "known"):
        return
    step, effect = await _take(tx, payment, webhook.charge)
    if step.changed:
        await provider_events.set_effect(tx, payment.provider, webhook, effect)
        outbox.add(tx, *await payments.save(tx, order, payment, step))


async def _take(tx: AsyncSession, payment: Payment, charge: Charge) -> tuple[Step, Effect]:
    now = utcnow()
    if (reason := payment.doubt(charge)) is not None:
        log.warning("webhook does not fit", payment_id=payment.id, reason=reason)
        payment.flag(reason)
        payment.check_at = now
        return Step(changed=True), "doubtful"
    step, result = Step(), charge.refund
    if result and (refund := await refunds.find_reserved(tx, payment.id, result.reference)):
        step += refund.settle(payment, result, now)
    return step + payment.learn(charge, now), "applied"
