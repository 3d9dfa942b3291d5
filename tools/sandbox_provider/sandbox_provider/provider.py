"""The provider behind every route: how a charge is opened and changed, and who may call."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from sandbox_provider import store
from sandbox_provider.delivery import Deliverer, DueWebhook
from sandbox_provider.domain import Charge, Refund, Refused
from sandbox_provider.idempotency import Answer, KeyedRequest, claim, settle
from sandbox_provider.problems import Problem, Unauthorized, problem_body
from sandbox_provider.settings import Settings
from sandbox_provider.views import ChargeView, WebhookRow, webhook_rows

_MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Provider:
    """The settings, the database and the sender of webhooks."""

    settings: Settings
    database: Database
    deliverer: Deliverer

    def view(self, charge: Charge, refund: Refund | None = None) -> str:
        """The charge as JSON."""
        return ChargeView.of(charge, self.settings.base_url, refund).model_dump_json()

    async def add_webhooks(self, connection: AsyncSession, charge: Charge) -> list[WebhookRow]:
        """Store the webhooks of a charge, to be sent after the commit."""
        now = datetime.now(UTC)
        late = now + timedelta(seconds=self.settings.late_webhook_seconds)
        rows = webhook_rows(charge, self.settings.base_url, now=now, late=late)
        await store.add_webhooks(connection, rows)
        return rows

    async def open_charge(self, request: KeyedRequest, charge: Charge, answer: Answer) -> Answer:
        """Store a charge, or return the stored response of the same request."""
        async with self.database.transaction() as connection:
            if stored := await claim(connection, request, answer):
                return stored
            await store.add_charge(connection, charge)
            rows = await self.add_webhooks(connection, charge)
        for row in rows:
            if row["next_attempt_at"] <= datetime.now(UTC):
                self.deliverer.send_now(
                    DueWebhook(row["id"], row["lane"], row["body"], row["copies"])
                )
        return answer

    async def apply_step(
        self,
        charge_id: str,
        step: Callable[[Charge], Refund | None],
        request: KeyedRequest | None = None,
    ) -> Answer:
        """Apply one step to a charge, or return the stored response of the same request.

        Without `request` the step is applied each time, which only a repeatable step allows.
        """
        async with self.database.transaction() as connection:
            if request and (stored := await claim(connection, request)):
                return stored
            answer = await self._step(connection, charge_id, step)
            if request:
                await settle(connection, request, answer)
        self.deliverer.wake()
        return answer

    async def _step(
        self,
        connection: AsyncSession,
        charge_id: str,
        step: Callable[[Charge], Refund | None],
    ) -> Answer:
        charge = await store.lock_charge(connection, charge_id)
        try:
            refund = step(charge)
        except Refused as refused:
            return Answer(409, problem_body(409, refused.code, refused.detail))
        await store.save_charge(connection, charge)
        await self.add_webhooks(connection, charge)
        return Answer(200, self.view(charge, refund))


async def get_provider(request: Request) -> Provider:
    """The provider of this process."""
    provider: Provider = request.app.state.provider
    return provider


CurrentProvider = Annotated[Provider, Depends(get_provider)]


async def authenticated(request: Request) -> None:
    """Refuse a caller without the API key."""
    given = request.headers.get("authorization", "").encode()
    expected = f"Bearer {request.app.state.provider.settings.api_key}".encode()
    if not hmac.compare_digest(given, expected):
        raise Unauthorized("api_key_invalid", "Send the API key as a bearer token.")


async def idempotency_key(idempotency_key: Annotated[str | None, Header()] = None) -> str:
    """The Idempotency-Key; 400 without one."""
    if not idempotency_key:
        raise Problem("idempotency_key_missing", "Send an Idempotency-Key with every POST.")
    if len(idempotency_key) > _MAX_KEY_LENGTH or not idempotency_key.isascii():
        raise Problem("idempotency_key_invalid", f"At most {_MAX_KEY_LENGTH} ASCII characters.")
    return idempotency_key
