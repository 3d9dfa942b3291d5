"""The route for webhooks of providers: signed, de-duplicated, in any order."""

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, context, outbox
from chassis.db import Tx
from chassis.errors import Invalid, NotFound, refuses
from chassis.ids import utcnow
from chassis.webhooks import BadSignature
from payments.api.payments import PaymentProviders
from payments.clients.provider import BadWebhook
from payments.domain.charge import Charge, Webhook
from payments.domain.payment import OrderPayments, Payment, Step
from payments.domain.tables import WebhookEffect
from payments.store import payments as store

log = structlog.get_logger()

router = APIRouter(prefix="/v1/webhooks/payments")


class UnreadableWebhook(Invalid):
    """The webhook cannot be parsed."""

    code = "unreadable_webhook"


# Each provider has its own format, and the signature covers the raw bytes.
WEBHOOK_BODY = {"schema": {"type": "object"}, "example": {"type": "charge.captured", "data": {}}}


@router.post(
    "/{provider}",
    status_code=204,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": WEBHOOK_BODY}}
    },
)
@refuses(BadSignature, NotFound, UnreadableWebhook)
async def receive_payment_webhook(
    provider: str, request: Request, tx: Tx, providers: PaymentProviders
) -> None:
    """Receive a signed webhook (Standard Webhooks).

    With a valid signature the response is 204 whatever the webhook reports, since a redelivery
    would report the same. One about an unknown payment is stored and has no effect.
    """
    sender = providers.find(provider)
    if sender is None:
        raise NotFound
    try:
        webhook = sender.parse_webhook(request.headers, await request.body(), clock.now())
    except BadWebhook:
        raise UnreadableWebhook from None
    context.set_actor(f"provider:{sender.name}")
    found = await _lock_payment(tx, sender.name, webhook.charge)
    if found is None:
        if await store.add_webhook(tx, sender.name, webhook, None, "unknown_payment"):
            log.warning("webhook about an unknown payment", event_id=webhook.id)
        return
    await _apply(tx, *found, webhook)


async def _lock_payment(
    tx: AsyncSession, provider: str, charge: Charge
) -> tuple[OrderPayments, Payment] | None:
    """The payment of a charge, locked: by our own id in it, else by the provider's."""
    payment_id = charge.payment_id or await store.find_id_by_reference(
        tx, provider, charge.reference
    )
    if payment_id is None:
        return None
    try:
        order, payment = await store.lock_payment(tx, payment_id)
    except NotFound:
        return None
    return (order, payment) if payment.provider == provider else None


async def _apply(
    tx: AsyncSession, order: OrderPayments, payment: Payment, webhook: Webhook
) -> None:
    """Apply a new webhook to its payment; a redelivered one is neither compared nor applied."""
    if not await store.add_webhook(tx, payment.provider, webhook, payment.id, "known"):
        return
    step, effect = await _apply_charge(tx, payment, webhook.charge)
    if step.changed:
        await store.set_webhook_effect(tx, payment.provider, webhook, effect)
        outbox.add(tx, *await store.save_payment(tx, order, payment, step))


async def _apply_charge(
    tx: AsyncSession, payment: Payment, charge: Charge
) -> tuple[Step, WebhookEffect]:
    """Apply the charge, or schedule a check with the provider where it does not fit."""
    now = utcnow()
    if (reason := payment.mismatch(charge)) is not None:
        log.warning("webhook does not fit", payment_id=payment.id, reason=reason)
        payment.flag_for_review(reason)
        payment.check_at = now
        return Step(changed=True), "doubtful"
    step, result = Step(), charge.refund
    if result and (refund := await store.find_reserved_refund(tx, payment.id, result.reference)):
        step += refund.settle(payment, result, now)
    return step + payment.apply_charge(charge, now), "applied"
