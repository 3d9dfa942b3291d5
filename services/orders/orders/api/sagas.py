"""Checkout sagas for staff who ask why, and for operators who mend what stands still."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import ColumnElement, true

from chassis import outbox
from chassis.auth import require_permission
from chassis.db import Tx
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.ops import audit
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import View
from orders.api.access import MayRefund
from orders.api.admin import staff
from orders.api.orders import UNDOING, cancel
from orders.domain.checkout import Checkout
from orders.domain.order import CheckoutSaga, SagaLog, Stage
from orders.domain.refusals import (
    CompensatesAlready,
    MayNotSkip,
    NothingToRetry,
    NotStandingStill,
    OrderNotFound,
)
from orders.saga import process
from orders.saga.triggers import ResumeRequested, RetryRequested, SkipRequested
from orders.store import checkouts, saving
from orders.store import sagas as store

router = APIRouter(prefix="/v1/admin/sagas", tags=["sagas"])

MayRead = Depends(require_permission("orders:read"))
MayMend = Depends(require_permission("ops:write"))
# The sweep of deadlines comes every second or so: what is this late is not waiting for its turn.
OVERDUE = timedelta(seconds=60)


class SagaStep(View):
    """Something the saga heard, and what it did.

    seconds: since the step before. attempt: how often the stage had asked when this was heard.
    """

    at: datetime
    stage: str
    heard: str
    outcome: str
    next_stage: str
    sent: list[str]
    message_id: UUID | None
    trace_id: str | None
    seconds: float | None
    attempt: int

    @classmethod
    def listed(cls, rows: Iterable[SagaLog]) -> "list[SagaStep]":
        """The steps of one saga, oldest first."""
        steps: list[SagaStep] = []
        attempt, before = 0, None
        for row in rows:
            waited = round((row.at - before).total_seconds(), 3) if before else None
            told = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
            steps.append(cls(**told, seconds=waited, attempt=attempt))
            before = row.at
            if row.next_stage != row.stage:
                attempt = 1
            elif row.outcome == "moved" and row.sent:
                attempt += 1
        return steps


class SagaView(View):
    """Where the process of an order stands."""

    order_id: UUID
    order_number: str
    status: str
    stage: str
    deadline_at: datetime | None
    repeats: int
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    steps: list[SagaStep] = []


@router.get("", dependencies=[MayRead])
async def list_sagas(
    paging: Paged, tx: Tx, stage: Stage | None = None, *, stuck: bool = False
) -> Page[SagaView]:
    """Checkout processes; `stuck` ones repeat themselves, stand still or wait for staff."""
    rule: ColumnElement[bool] = true()
    if stage is not None:
        rule = CheckoutSaga.stage == stage
    if stuck:
        rule = rule & store.is_stuck(utcnow() - OVERDUE)
    rows = await store.list_sagas(tx, paging.limit, paging.position(UUID), rule)
    return paging.page(rows, SagaView.model_validate, lambda saga: saga.order_id)


@router.get("/{order_id}", dependencies=[MayRead])
async def get_saga(order_id: UUID, tx: Tx) -> SagaView:
    """The process of one order, step by step."""
    return await _shown(tx, order_id)


async def _shown(tx: Tx, order_id: UUID) -> SagaView:
    saga = SagaView.model_validate(await store.get_standing(tx, order_id))
    steps = SagaStep.listed(await store.list_saga_log(tx, order_id))
    return saga.model_copy(update={"steps": steps})


def _state(order: Checkout) -> dict[str, Any]:
    deadline = order.deadline_at
    return {
        "stage": order.stage.value,
        "status": order.status.value,
        "repeats": order.repeats,
        "deadline_at": deadline.isoformat() if deadline else None,
    }


async def _locked(tx: Tx, order_id: UUID) -> Checkout:
    found = await checkouts.lock_checkouts(tx, [order_id])
    if order_id not in found:
        raise OrderNotFound
    return found[order_id]


async def _told(
    tx: Tx, claim: Claim, action: str, reason: str, before: dict[str, Any], order: Checkout
) -> Response:
    """Note what was done to the order, and answer with how it stands now."""
    await audit.record(tx, action, order.order_id, reason, before=before, after=_state(order))
    return await claim.store(tx, 202, await _shown(tx, order.order_id))


@dataclass(frozen=True, slots=True)
class Mending:
    """One request to mend a process: why, and what it is answered with."""

    body: ReasonBody
    request: Request
    claim: Claim
    tx: Tx

    async def apply(
        self,
        order_id: UUID,
        action: str,
        trigger: RetryRequested | SkipRequested | ResumeRequested,
        refusal: Callable[[Checkout], Exception | None],
    ) -> Response:
        """Let the saga hear an operator. Raises the refusal."""
        order = await _locked(self.tx, order_id)
        if (refused := refusal(order)) is not None:
            raise refused
        before, now = _state(order), utcnow()
        heard = process.apply(order, trigger, now, self.request.app.state.settings.deadlines)
        outbox.add(self.tx, *heard.sent)
        await saving.save_checkouts(self.tx, [order], now, [(order, heard, None)])
        return await _told(self.tx, self.claim, action, self.body.reason, before, order)


async def mending(
    body: ReasonBody, request: Request, claim: Annotated[Claim, idempotent(staff)], tx: Tx
) -> Mending:
    """What each request to mend brings along."""
    return Mending(body, request, claim, tx)


Mend = Annotated[Mending, Depends(mending)]


@router.post("/{order_id}/retry", status_code=202, response_model=SagaView, dependencies=[MayMend])
async def retry_saga(order_id: UUID, mend: Mend) -> Response:
    """Ask once more, now, for what the stage waits for; the same operations, so nothing doubles."""

    def refusal(order: Checkout) -> Exception | None:
        return None if process.find(order, RetryRequested()) else NothingToRetry()

    return await mend.apply(order_id, "saga.retry", RetryRequested(), refusal)


@router.post("/{order_id}/skip", status_code=202, response_model=SagaView, dependencies=[MayMend])
async def skip_stage(order_id: UUID, mend: Mend) -> Response:
    """Go on as though the stage were done, because it was done by hand."""

    def refusal(order: Checkout) -> Exception | None:
        return None if process.find(order, SkipRequested()) else MayNotSkip()

    return await mend.apply(order_id, "saga.skip", SkipRequested(), refusal)


@router.post("/{order_id}/resume", status_code=202, response_model=SagaView, dependencies=[MayMend])
async def resume_saga(order_id: UUID, mend: Mend) -> Response:
    """Let a process go on that waits for staff, or that lost its deadline or is long past it."""

    def refusal(order: Checkout) -> Exception | None:
        running = order.deadline_at is not None and order.deadline_at > utcnow() - OVERDUE
        found = process.find(order, ResumeRequested())
        return NotStandingStill() if running or found is None else None

    return await mend.apply(order_id, "saga.resume", ResumeRequested(), refusal)


@router.post(
    "/{order_id}/compensate", status_code=202, response_model=SagaView, dependencies=[MayMend]
)
async def compensate_saga(
    order_id: UUID,
    body: ReasonBody,
    request: Request,
    claim: Annotated[Claim, idempotent(staff)],
    tx: Tx,
    may_refund: MayRefund,
) -> Response:
    """Undo the order: parcels kept back, money given back, stock and coupon released.

    A paid order needs the permission `orders:refund` too.
    """
    order = await _locked(tx, order_id)
    if order.stage in UNDOING:
        raise CompensatesAlready
    before = _state(order)
    deadlines = request.app.state.settings.deadlines
    order = await cancel(tx, order_id, "staff_request", deadlines, may_refund=may_refund)
    return await _told(tx, claim, "saga.compensate", body.reason, before, order)
