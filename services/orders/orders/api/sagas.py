"""Checkout sagas for staff who look into an order, and for operators who repair a stuck one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import ColumnElement, true

from chassis.auth import require_permission
from chassis.db import Tx
from chassis.errors import refuses
from chassis.idempotency import Claim, idempotent
from chassis.ids import utcnow
from chassis.ops import audit
from chassis.ops.views import ReasonBody
from chassis.pages import Page, Paged
from chassis.wire import View
from orders import service
from orders.api.admin import staff
from orders.api.orders import MayRefund
from orders.domain.checkout import Checkout, ResumeRequested, RetryRequested, SkipRequested
from orders.domain.order import (
    AlreadyCancelled,
    CompensatesAlready,
    MayNotSkip,
    NothingToRetry,
    NotStandingStill,
    OrderNotFound,
    RefundNotPermitted,
    Stage,
    TooLateToCancel,
)
from orders.saga.engine import find_move
from orders.store import sagas as store
from orders.store.orders import lock_checkout

router = APIRouter(prefix="/v1/admin/sagas", tags=["sagas"])

MayRead = Depends(require_permission("orders:read"))
MayOperate = Depends(require_permission("ops:write"))
# The sweep of deadlines runs every second or so: a saga that is later than this is stuck.
OVERDUE: Final = timedelta(seconds=60)


class SagaStep(View):
    """A message or trigger that the saga received (`heard`), and what it did.

    seconds: since the step before. attempt: how often the stage had sent its commands by then.
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
    def list_of(cls, rows: Iterable[Any]) -> "list[SagaStep]":
        """The steps of one saga, oldest first."""
        steps: list[SagaStep] = []
        attempt, before = 0, None
        for row in rows:
            waited = round((row.at - before).total_seconds(), 3) if before else None
            columns = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
            steps.append(cls(**columns, seconds=waited, attempt=attempt))
            before = row.at
            if row.next_stage != row.stage:
                attempt = 1
            elif row.outcome == "moved" and row.sent:
                attempt += 1
        return steps


class SagaView(View):
    """The state of an order's saga."""

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
    """Checkout sagas; `stuck` ones repeat a stage, wait for staff or have missed their deadline."""
    rule: ColumnElement[bool] = true()
    if stage is not None:
        rule = store.is_in(stage)
    if stuck:
        rule = rule & store.is_stuck(utcnow() - OVERDUE)
    rows = await store.list_sagas(tx, paging.limit, paging.position(UUID), rule)
    return paging.page(rows, SagaView.model_validate, lambda saga: saga.order_id)


@router.get("/{order_id}", dependencies=[MayRead])
@refuses(OrderNotFound)
async def get_saga(order_id: UUID, tx: Tx) -> SagaView:
    """The saga of one order, step by step."""
    return await _read_view(tx, order_id)


async def _read_view(tx: Tx, order_id: UUID) -> SagaView:
    saga = SagaView.model_validate(await store.get_saga(tx, order_id))
    saga.steps = SagaStep.list_of(await store.list_saga_log(tx, order_id))
    return saga


def _state(order: Checkout) -> dict[str, Any]:
    deadline = order.deadline_at
    return {
        "stage": order.stage.value,
        "status": order.status.value,
        "repeats": order.repeats,
        "deadline_at": deadline.isoformat() if deadline else None,
    }


async def _audited(
    tx: Tx, claim: Claim, action: str, reason: str, before: dict[str, Any], order: Checkout
) -> Response:
    """Record the change in the audit trail, and respond with the saga as it is now."""
    await audit.record(tx, action, order.order_id, reason, before=before, after=_state(order))
    return await claim.store(tx, 202, await _read_view(tx, order.order_id))


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One request of an operator to repair a saga."""

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
        """Apply the trigger, audited as `action`. Raises OrderNotFound or the refusal."""
        order = await lock_checkout(self.tx, order_id)
        if (refused := refusal(order)) is not None:
            raise refused
        before = _state(order)
        deadlines = self.request.app.state.settings.deadlines
        await service.advance(self.tx, order, trigger, deadlines)
        return await _audited(self.tx, self.claim, action, self.body.reason, before, order)


async def operator_action(
    body: ReasonBody, request: Request, claim: Annotated[Claim, idempotent(staff)], tx: Tx
) -> OperatorAction:
    return OperatorAction(body, request, claim, tx)


Action = Annotated[OperatorAction, Depends(operator_action)]


@router.post(
    "/{order_id}/retry", status_code=202, response_model=SagaView, dependencies=[MayOperate]
)
@refuses(OrderNotFound, NothingToRetry)
async def retry_saga(order_id: UUID, action: Action) -> Response:
    """Send the commands of the stage once more, now; the same operations, so nothing doubles."""

    def refusal(order: Checkout) -> Exception | None:
        return None if find_move(order, RetryRequested()) else NothingToRetry()

    return await action.apply(order_id, "saga.retry", RetryRequested(), refusal)


@router.post(
    "/{order_id}/skip", status_code=202, response_model=SagaView, dependencies=[MayOperate]
)
@refuses(OrderNotFound, MayNotSkip)
async def skip_stage(order_id: UUID, action: Action) -> Response:
    """Proceed as though the stage were done, because an operator did it by hand."""

    def refusal(order: Checkout) -> Exception | None:
        return None if find_move(order, SkipRequested()) else MayNotSkip()

    return await action.apply(order_id, "saga.skip", SkipRequested(), refusal)


@router.post(
    "/{order_id}/resume", status_code=202, response_model=SagaView, dependencies=[MayOperate]
)
@refuses(OrderNotFound, NotStandingStill)
async def resume_saga(order_id: UUID, action: Action) -> Response:
    """Continue a saga that waits for staff, that lost its deadline or is long past it."""

    def refusal(order: Checkout) -> Exception | None:
        running = order.deadline_at is not None and order.deadline_at > utcnow() - OVERDUE
        move = find_move(order, ResumeRequested())
        return NotStandingStill() if running or move is None else None

    return await action.apply(order_id, "saga.resume", ResumeRequested(), refusal)


@router.post(
    "/{order_id}/compensate", status_code=202, response_model=SagaView, dependencies=[MayOperate]
)
@refuses(RefundNotPermitted, OrderNotFound, AlreadyCancelled, CompensatesAlready, TooLateToCancel)
async def compensate_saga(
    order_id: UUID,
    body: ReasonBody,
    request: Request,
    claim: Annotated[Claim, idempotent(staff)],
    tx: Tx,
    may_refund: MayRefund,
) -> Response:
    """Undo the order: recall its parcels, refund its money, release stock and coupon.

    A paid order needs the permission `orders:refund` too.
    """
    order = await lock_checkout(tx, order_id)
    if order.stage in service.COMPENSATING:
        raise CompensatesAlready
    before = _state(order)
    deadlines = request.app.state.settings.deadlines
    order = await service.cancel_order(
        tx, order_id, "staff_request", deadlines, may_refund=may_refund
    )
    return await _audited(tx, claim, "saga.compensate", body.reason, before, order)
