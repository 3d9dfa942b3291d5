"""Webhooks as they were received."""

import json
from dataclasses import asdict
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from payments.domain.provider_event import Effect
from payments.providers.port import Webhook

ADD: Final = text(
    "insert into provider_events (provider, event_id, type, payment_id, charge, effect) "
    "values (:provider, :event_id, :type, :payment_id, cast(:charge as jsonb), :effect) "
    "on conflict do nothing returning 1"
)

SET_EFFECT: Final = text(
    "update provider_events set effect = :effect "
    "where provider = :provider and event_id = :event_id"
)


async def add_event(
    tx: AsyncSession, provider: str, webhook: Webhook, payment_id: UUID | None, effect: Effect
) -> bool:
    """Remember a webhook; False when it was received before."""
    values = {
        "provider": provider,
        "event_id": webhook.id,
        "type": webhook.type,
        "payment_id": payment_id,
        "charge": json.dumps(asdict(webhook.charge), default=str),
        "effect": effect,
    }
    return (await tx.execute(ADD, values)).first() is not None


async def set_effect(tx: AsyncSession, provider: str, webhook: Webhook, effect: Effect) -> None:
    """Note what a webhook that was just added led to."""
    values = {"provider": provider, "event_id": webhook.id, "effect": effect}
    await tx.execute(SET_EFFECT, values)
