"""The operator's routes, which every service serves under `/v1/admin/ops/<service>`."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from chassis.auth import require_permission
from chassis.db import Database, Tx
from chassis.errors import Invalid
from chassis.messaging.relay import Relay
from chassis.ops import audit, dead_letters, event_log, fetching, replay, status
from chassis.ops.audit import AuditView
from chassis.ops.dead_letters import Filter
from chassis.ops.status import OutboxStatus, ServiceStatus
from chassis.ops.views import (
    DeadLetterDetail,
    DeadLetterFilterBody,
    DeadLetterGroup,
    DeadLetterGroups,
    DeadLetterView,
    DiscardedView,
    FetchedView,
    ReasonBody,
    RedriveBody,
    RedrivenView,
    ReplayBody,
    ReplayedView,
    UnparkedView,
)
from chassis.pages import Page, Paged
from chassis.wire import SafeText
from contracts.envelope import Envelope

READS = Depends(require_permission("ops:read"))
WRITES = Depends(require_permission("ops:write"))
Wanted = Annotated[SafeText | None, Query(max_length=200)]


class FilterRequired(Invalid):
    """Say which: by ids, error, type or subject, or send `"everything": true`."""

    code = "filter_missing"


class StartRequired(Invalid):
    """Send either `from_time` or `from_offset`."""

    code = "start_missing"


router = APIRouter()


def router_of(service: str) -> APIRouter:
    """The routes under the prefix by which the gateway finds this service."""
    own = APIRouter()
    own.include_router(router, prefix=f"/v1/admin/ops/{service}")
    return own


@dataclass(frozen=True, slots=True)
class OpsContext:
    """The service these routes are about, as its composition left it with the application."""

    name: str
    handled: frozenset[str]
    broker_url: str
    database: Database
    relay: Relay


async def _dependencies(request: Request) -> OpsContext:
    state = request.app.state
    events = {kind.type_name() for kind in state.bus.handled if kind.kind == "event"}
    return OpsContext(
        state.bus.service,
        frozenset(events),
        state.settings.broker_url,
        state.database,
        state.relay,
    )


Own = Annotated[OpsContext, Depends(_dependencies)]


def _filter(body: DeadLetterFilterBody) -> Filter:
    given = (body.ids, body.error, body.type, body.subject)
    if not body.everything and all(each is None for each in given):
        raise FilterRequired
    return Filter(ids=body.ids, error=body.error, type=body.type, subject=body.subject)


@router.get("", dependencies=[READS])
async def get_standing(own: Own) -> ServiceStatus:
    """How the service stands: outbox, queues, dead letters, inbox and schema."""
    found = await status.queues(own.broker_url, own.name)
    async with own.database.transaction() as tx:
        whole = await status.standing(tx, own.name)
    return whole.model_copy(update={"queues": found})


@router.get("/outbox", dependencies=[READS])
async def get_outbox(tx: Tx) -> OutboxStatus:
    """What the service committed and has not sent yet, by routing key."""
    return await status.outbox_status(tx)


@router.get("/audit", dependencies=[READS])
async def list_audit(paging: Paged, tx: Tx, target: Wanted = None) -> Page[AuditView]:
    """What operators did in this service, newest first; `target` as an entry names it."""
    rows = await audit.list_entries(
        tx, target=target, before=paging.position(UUID), limit=paging.limit
    )
    return paging.page(rows, AuditView.model_validate, lambda row: row.id)


@router.get("/dead-letters", dependencies=[READS])
async def list_dead_letters(
    own: Own,
    paging: Paged,
    error: Wanted = None,
    type: Wanted = None,  # noqa: A002
    subject: Wanted = None,
) -> Page[DeadLetterView]:
    """Messages the service gave up and whose letters were fetched, the latest first."""
    wanted = Filter(error=error, type=type, subject=subject)
    async with own.database.transaction() as tx:
        rows = await dead_letters.list_dead_letters(
            tx, wanted, before=paging.position(UUID), limit=paging.limit
        )
    return paging.page(rows, DeadLetterView.model_validate, lambda row: row.id)


@router.post("/dead-letters/fetch", dependencies=[READS])
async def fetch_dead_letters(own: Own) -> FetchedView:
    """Move dead letters from their queue into the table, where they are searched and redriven.

    At most 1000; ask again while `in_queue` is not 0. Nothing is lost by it, nor handed in again.
    """
    done = await fetching.fetch(own.database, own.broker_url, own.name, fetching.MOST_FETCHED)
    return FetchedView(fetched=done.count, in_queue=done.in_queue)


@router.get("/dead-letters/groups", dependencies=[READS])
async def group_dead_letters(own: Own) -> DeadLetterGroups:
    """How many fetched messages died of which error, by type."""
    async with own.database.transaction() as tx:
        rows = await dead_letters.list_groups(tx)
    return DeadLetterGroups(groups=[DeadLetterGroup.model_validate(row) for row in rows])


@router.get("/dead-letters/{letter_id}", dependencies=[READS])
async def get_dead_letter(letter_id: UUID, own: Own) -> DeadLetterDetail:
    """One fetched dead letter with what it carried, by its id or its message's."""
    async with own.database.transaction() as tx:
        return DeadLetterDetail.of(await dead_letters.get_dead_letter(tx, letter_id))


@router.post("/dead-letters/redrive", dependencies=[WRITES])
async def redrive_dead_letters(body: RedriveBody, own: Own) -> RedrivenView:
    """Hand fetched dead letters in again, to this service alone and with the ids they had."""
    wanted = _filter(body)
    async with own.database.transaction() as tx:
        done = await dead_letters.redrive(
            tx, own.name, wanted, limit=body.limit, force=body.force, reason=body.reason
        )
    own.relay.wake(done.shards)
    return RedrivenView(
        redriven=done.count,
        remaining=done.remaining,
        too_old=done.too_old,
        unreadable=done.unreadable,
    )


@router.post("/dead-letters/discard", dependencies=[WRITES])
async def discard_dead_letters(body: DeadLetterFilterBody, own: Own) -> DiscardedView:
    """Give fetched dead letters up for good; the audit trail keeps what they were."""
    wanted = _filter(body)
    async with own.database.transaction() as tx:
        count = await dead_letters.discard(tx, wanted, limit=body.limit, reason=body.reason)
    return DiscardedView(discarded=count)


@router.post("/outbox/retry", dependencies=[WRITES])
async def retry_outbox(body: ReasonBody, own: Own) -> UnparkedView:
    """Try the messages that found no queue again at once, and wake the relay."""
    async with own.database.transaction() as tx:
        rows = await status.unpark(tx)
        deeds = [
            (str(r.message_id), {"key": r.routing_key, "error": r.last_error}, None) for r in rows
        ]
        await audit.record_all(tx, "outbox.retry", body.reason, deeds)
    own.relay.wake({row.shard for row in rows})
    return UnparkedView(unparked=len(rows))


@router.post("/replay", dependencies=[WRITES])
async def replay_events(body: ReplayBody, own: Own) -> ReplayedView:
    """Hand events of the log in again, to this service alone; ask again until `finished`."""
    if (body.from_time is None) == (body.from_offset is None):
        raise StartRequired

    def wanted(envelope: Envelope) -> bool:
        chosen = envelope.type in own.handled
        if body.types is not None:
            chosen = chosen and envelope.type in body.types
        return chosen and body.subject in (None, envelope.subject)

    start = body.from_time if body.from_time is not None else body.from_offset or 0
    async with event_log.opened(own.broker_url) as log:
        found = await replay.collect(log, start, body.limit, wanted)
    async with own.database.transaction() as tx:
        done = await replay.republish(
            tx, own.name, found.events, force=body.force, reason=body.reason
        )
    own.relay.wake(done.shards)
    return ReplayedView(
        read=found.read,
        replayed=done.count,
        known=done.known,
        too_old=done.too_old,
        next_offset=found.next_offset,
        finished=found.finished,
    )
