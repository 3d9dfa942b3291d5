"""The request and response models of the operator's routes."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from chassis.logs import redact, redact_secrets
from chassis.wire import Body, Id, Moment, SafeText, View

LONGEST_BODY = 65_536

Reason = Annotated[SafeText, Field(min_length=3, max_length=500, examples=["the handler is fixed"])]
Word = Annotated[SafeText, Field(min_length=1, max_length=200)]
Many = Annotated[int, Field(ge=1, le=1000)]


class ReasonBody(Body):
    """The reason, for the audit trail."""

    reason: Reason


class DeadLetterFilterBody(ReasonBody):
    """A selection of dead letters: by id, error, type or subject, or `everything`."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    error: Word | None = None
    type: Word | None = None
    subject: Word | None = None
    everything: bool = False
    limit: Many = 100


class RedriveBody(DeadLetterFilterBody):
    """Dead letters to republish; `force` includes those older than the inbox."""

    force: bool = False


class ReplayBody(ReasonBody):
    """Events to replay, from a time or an offset of the log.

    types: only these, such as `cartwright.orders.OrderConfirmed.v1`; by default all that the
    service handles. `force` replays even events that it has handled already.
    """

    from_time: Moment | None = None
    from_offset: Annotated[int, Field(ge=0, le=2**62)] | None = None
    types: Annotated[list[Word], Field(min_length=1, max_length=100)] | None = None
    subject: Word | None = None
    limit: Many = 500
    force: bool = False


class DeadLetterView(View):
    """A dead letter; `sender` as verified by the broker, `size` in bytes."""

    id: UUID
    message_id: UUID | None
    type: str
    subject: str
    correlation_id: str | None
    trace_id: str | None
    sender: str
    error: str
    error_detail: str
    attempts: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    size: int


class DeadLetterDetail(DeadLetterView):
    """A dead letter with its headers and body, secrets redacted; a long body is truncated."""

    headers: dict[str, Any]
    body: Any

    @classmethod
    def of(cls, row: Any) -> "DeadLetterDetail":
        """Build it from a row."""
        shown = {name: getattr(row, name) for name in DeadLetterView.model_fields}
        return cls(**shown, headers=redact(row.headers), body=readable(bytes(row.body)))


class DeadLetterGroup(View):
    """The number of dead letters of one type and error; `example` is the detail of one."""

    error: str
    type: str
    count: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    example: str


class DeadLetterGroups(View):
    """All groups, the largest first."""

    groups: list[DeadLetterGroup]


class FetchedView(View):
    """The number of dead letters moved into the table, and of those still in the queue."""

    fetched: int
    in_queue: int


class RedrivenView(View):
    """The number republished, and of the remaining ones those that are too old or unreadable."""

    redriven: int
    remaining: int
    too_old: int
    unreadable: int


class DiscardedView(View):
    """The number discarded."""

    discarded: int


class ReplayedView(View):
    """The numbers read, republished and skipped; continue at `next_offset` until `finished`."""

    read: int
    replayed: int
    known: int
    too_old: int
    next_offset: int | None
    finished: bool


class UnparkedView(View):
    """The number of parked messages that are retried."""

    unparked: int


def readable(body: bytes) -> Any:
    """A message's body with secrets redacted: parsed JSON, or the start of its text."""
    if len(body) <= LONGEST_BODY:
        try:
            return redact(json.loads(body))
        except ValueError:
            pass
    return redact_secrets(body[:LONGEST_BODY].decode(errors="replace"))
