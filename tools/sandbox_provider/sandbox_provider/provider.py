"""What every route works with, and the one way a charge is changed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from sandbox_provider import store
from sandbox_provider.db import transaction
from sandbox_provider.delivery import Deliverer, Due
from sandbox_provider.domain import Charge, Refund, Refused
from sandbox_provider.idempotency import Answer, Keyed, claim, settle
from sandbox_provider.problems import problem_body
from sandbox_provider.settings import Settings
from sandbox_provider.views import ChargeView, WebhookRow, webhook_rows


@dataclass(frozen=True, slots=True)
class Provider:
    """The settings, the database and the one who sends webhooks."""

    settings: Settings
    database: Database
    deliverer: Deliverer

    def view(self, charge: Charge, refund: Refund | None = None) -> str:
        """The charge as JSON."""
        return ChargeView.of(charge, self.settings.base_url, refund).model_dump_json()

    async def announce(self, connection: AsyncSession, charge: Charge) -> list[WebhookRow]:
        """Store the webhooks of a charge; they go out after the commit."""
        now = datetime.now(UTC)
        late = now + timedelta(seconds=self.settings.late_webhook_seconds)
        rows = webhook_rows(charge, self.settings.base_url, now=now, late=late)
        await store.add_webhooks(connection, rows)
        return rows

    async def open(self, request: Keyed, charge: Charge, answer: Answer) -> Answer:
        """Make a charge, or return what was answered to the same request before."""
        async with transaction(self.database) as connection:
            if stored := await claim(connection, request, answer):
                return stored
            await store.add_charge(connection, charge)
            rows = await self.announce(connection, charge)
        for row in rows:
            if row["next_attempt_at"] <= datetime.now(UTC):
                self.deliverer.offer(Due(row["id"], row["lane"], row["body"], row["copies"]))
        return answer

    async def change(
        self,
        charge_id: str,
        step: Callable[[Charge], Refund | None],
        request: Keyed | None = None,
    ) -> Answer:
        """Let a charge take one step, or return what was answered to the same request before.

        Without `request` the step is taken each time: right only where asking twice does no harm.
        """
        async with transaction(self.database) as connection:
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
        await self.announce(connection, charge)
        return Answer(200, self.view(charge, refund))


async def provider_of(request: Request) -> Provider:
    """Find the provider of this process."""
    provider: Provider = request.app.state.provider
    return provider


TheProvider = Annotated[Provider, Depends(provider_of)]
