"""The operator's routes, which every service serves under `/v1/admin/ops/<service>`."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from chassis.auth import require_permission
from chassis.db import Database, Tx
from chassis.errors import Invalid, refuses
from chassis.messaging.relay import Relay
from chassis.ops import audit, dead_letters, event_log, fetching, replay, status
from chassis.ops.audit import AuditView
from chassis.ops.dead_letters import DeadLetterUnknown, Filter
from chassis.ops.fetching import BrokerUnavailable
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

MAY_READ = Depends(require_permission("ops:read"))
MAY_WRITE = Depends(require_permission("ops:write"))
Wanted = Annotated[SafeText | None, Query(max_length=200)]


class FilterRequired(Invalid):
    """Select by ids, error, type or subject, or send `"everything": true`."""

    code = "filter_missing"


class StartRequired(Invalid):
    """Send either `from_time` or `from_offset`."""

    code = "start_missing"


router = APIRouter()


def router_of(service: str) -> APIRouter:
    """The routes under this service's prefix, by which the gateway routes."""
    own = APIRouter()
    own.include_router(router, prefix=f"/v1/admin/ops/{service}")
    return own


@dataclass(frozen=True, slots=True)
class OpsContext:
    """The service's dependencies that these routes use."""

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


@router.get("", dependencies=[MAY_READ])
@refuses(BrokerUnavailable)
async def get_status(own: Own) -> ServiceStatus:
    """Get the service's status: outbox, queues, dead letters, inbox and schema."""
    queues = await status.queue_status(own.broker_url, own.name)
    async with own.database.transaction() as tx:
        found = await status.service_status(tx, own.name)
    return found.model_copy(update={"queues": queues})


@router.get("/outbox", dependencies=[MAY_READ])
async def get_outbox(tx: Tx) -> OutboxStatus:
    """List committed messages that are not published yet, by routing key."""
    return await status.outbox_status(tx)


@router.get("/audit", dependencies=[MAY_READ])
async def list_audit(paging: Paged, tx: Tx, target: Wanted = None) -> Page[AuditView]:
    """List the audit trail, newest first; `target` as in an entry."""
    rows = await audit.list_entries(
        tx, target=target, before=paging.position(UUID), limit=paging.limit
    )
    return paging.page(rows, AuditView.model_validate, lambda row: row.id)


@router.get("/dead-letters", dependencies=[MAY_READ])
async def list_dead_letters(
    own: Own,
    paging: Paged,
    error: Wanted = None,
    type: Wanted = None,  # noqa: A002
    subject: Wanted = None,
) -> Page[DeadLetterView]:
    """List fetched dead letters, newest first."""
    wanted = Filter(error=error, type=type, subject=subject)
    async with own.database.transaction() as tx:
        rows = await dead_letters.list_dead_letters(
            tx, wanted, before=paging.position(UUID), limit=paging.limit
        )
    return paging.page(rows, DeadLetterView.model_validate, lambda row: row.id)


@router.post("/dead-letters/fetch", dependencies=[MAY_READ])
@refuses(BrokerUnavailable)
async def fetch_dead_letters(own: Own) -> FetchedView:
    """Move dead letters from their queue into the table, to search and redrive them.

    At most 1000; repeat while `in_queue` is not 0. Messages are neither lost nor republished.
    """
    done = await fetching.fetch(own.database, own.broker_url, own.name, fetching.MAX_FETCHED)
    return FetchedView(fetched=done.count, in_queue=done.in_queue)


@router.get("/dead-letters/groups", dependencies=[MAY_READ])
async def group_dead_letters(own: Own) -> DeadLetterGroups:
    """Count fetched dead letters by error and type."""
    async with own.database.transaction() as tx:
        rows = await dead_letters.list_groups(tx)
    return DeadLetterGroups(groups=[DeadLetterGroup.model_validate(row) for row in rows])


@router.get("/dead-letters/{letter_id}", dependencies=[MAY_READ])
@refuses(DeadLetterUnknown)
async def get_dead_letter(letter_id: UUID, own: Own) -> DeadLetterDetail:
    """Get a fetched dead letter with headers and body, by its id or its message's."""
    async with own.database.transaction() as tx:
        return DeadLetterDetail.of(await dead_letters.get_dead_letter(tx, letter_id))


@router.post("/dead-letters/redrive", dependencies=[MAY_WRITE])
@refuses(FilterRequired)
async def redrive_dead_letters(body: RedriveBody, own: Own) -> RedrivenView:
    """Republish fetched dead letters to this service alone, with their original ids."""
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


@router.post("/dead-letters/discard", dependencies=[MAY_WRITE])
@refuses(FilterRequired)
async def discard_dead_letters(body: DeadLetterFilterBody, own: Own) -> DiscardedView:
    """Delete fetched dead letters; the audit trail records them."""
    wanted = _filter(body)
    async with own.database.transaction() as tx:
        count = await dead_letters.discard(tx, wanted, limit=body.limit, reason=body.reason)
    return DiscardedView(discarded=count)


@router.post("/outbox/retry", dependencies=[MAY_WRITE])
async def retry_outbox(body: ReasonBody, own: Own) -> UnparkedView:
    """Retry parked messages at once, and wake the relay."""
    async with own.database.transaction() as tx:
        rows = await status.unpark(tx)
        entries = [
            (str(r.message_id), {"key": r.routing_key, "error": r.last_error}, None) for r in rows
        ]
        await audit.record_all(tx, "outbox.retry", body.reason, entries)
    own.relay.wake({row.shard for row in rows})
    return UnparkedView(unparked=len(rows))


@router.post("/replay", dependencies=[MAY_WRITE])
@refuses(BrokerUnavailable, StartRequired)
async def replay_events(body: ReplayBody, own: Own) -> ReplayedView:
    """Replay events of the log to this service alone; repeat until `finished`."""
    if (body.from_time is None) == (body.from_offset is None):
        raise StartRequired

    def wanted(envelope: Envelope) -> bool:
        chosen = envelope.type in own.handled
        if body.types is not None:
            chosen = chosen and envelope.type in body.types
        return chosen and body.subject in (None, envelope.subject)

    start = body.from_time if body.from_time is not None else body.from_offset or 0
    async with event_log.open_log(own.broker_url) as log:
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
