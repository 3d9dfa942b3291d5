"""Asking the owners for their present state, told into a subscriber's own queue."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import Field

from chassis import outbox
from chassis.broker import Broker
from chassis.errors import Forbidden, Invalid, Refused
from chassis.ids import new_id
from chassis.wire import Body, View
from contracts.catalog import ProductSnapshot, RequestProductSnapshots
from contracts.inventory import RequestStockSnapshots, StockSnapshot
from feed.api.events import Reader

router = APIRouter(prefix="/v1/events", tags=["events"])

Request_ = type[RequestProductSnapshots] | type[RequestStockSnapshots]
ASKED: Mapping[str, Request_] = {
    ProductSnapshot.routing_key(): RequestProductSnapshots,
    StockSnapshot.routing_key(): RequestStockSnapshots,
}


class NobodyTells(Invalid):
    """There is no such snapshot."""

    code = "no_such_snapshot"


class NoSuchQueue(Refused):
    """You have no such queue on the broker."""

    code = "no_such_queue"


class SnapshotBody(Body):
    """What is wanted, and in which queue of one's own."""

    types: list[str] = Field(min_length=1, max_length=10, examples=[sorted(ASKED)])
    queue: str = Field("events", pattern="^[a-z][a-z0-9_]{1,29}$", description="ext.<system>.NAME")


class SnapshotView(View):
    """The request, whose id the last message of the answer carries."""

    request_id: UUID
    queue: str


@router.post("/snapshots", status_code=202)
async def ask_for_snapshots(
    request: Request,
    reader: Reader,
    body: SnapshotBody,
) -> SnapshotView:
    """Have the present state of things told into one's queue, one message for each aggregate."""
    if unknown := sorted(set(body.types) - ASKED.keys()):
        raise NobodyTells(f"{', '.join(unknown)}: there are {', '.join(sorted(ASKED))}.")
    if not reader.may_read(body.types):
        raise Forbidden(f"You may read {', '.join(reader.types)}.")
    queue = f"ext.{reader.name}.{body.queue}"
    broker: Broker = request.app.state.broker
    if not await broker.has_queue(queue):
        raise NoSuchQueue(f"There is no queue {queue}: an operator makes it.")
    request_id = new_id()
    async with request.app.state.database.transaction() as tx:
        outbox.add(
            tx,
            *(
                ASKED[name](operation_id=new_id(), request_id=request_id, reply_to=queue)
                for name in sorted(set(body.types))
            ),
        )
    return SnapshotView(request_id=request_id, queue=queue)
