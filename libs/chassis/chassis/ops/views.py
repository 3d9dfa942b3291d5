"""What an operator sends and is shown."""

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
    """Why it is done; it stands in the audit trail for good."""

    reason: Reason


class DeadLetterFilterBody(ReasonBody):
    """Which dead letters are meant: by id, by what they died of, or `everything`."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    error: Word | None = None
    type: Word | None = None
    subject: Word | None = None
    everything: bool = False
    limit: Many = 100


class RedriveBody(DeadLetterFilterBody):
    """What is handed in again; `force` takes even what is older than the inbox."""

    force: bool = False


class ReplayBody(ReasonBody):
    """From where events are handed in again: a time or an offset of the log.

    types: only these, such as `cartwright.orders.OrderConfirmed.v1`; without it all that the
    service handles. `force` lets handlers run again for what they had handled.
    """

    from_time: Moment | None = None
    from_offset: Annotated[int, Field(ge=0, le=2**62)] | None = None
    types: Annotated[list[Word], Field(min_length=1, max_length=100)] | None = None
    subject: Word | None = None
    limit: Many = 500
    force: bool = False


class DeadLetterView(View):
    """A message that its service gave up; `sender` as the broker verified, `size` in bytes."""

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
    """The same with what it carried: JSON without its secrets, else as much of the text as fits."""

    headers: dict[str, Any]
    body: Any

    @classmethod
    def of(cls, letter: Any) -> "DeadLetterDetail":
        """Show a stored letter."""
        shown = {name: getattr(letter, name) for name in DeadLetterView.model_fields}
        return cls(**shown, headers=redact(letter.headers), body=readable(bytes(letter.body)))


class DeadLetterGroup(View):
    """How many letters of one type died of one error; `example` is one of the details."""

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
    """How many dead letters were moved into the table, and how many their queue still holds."""

    fetched: int
    in_queue: int


class RedrivenView(View):
    """How many were handed in, and of what is left of those wanted how many never can be so."""

    redriven: int
    remaining: int
    too_old: int
    unreadable: int


class DiscardedView(View):
    """How many were given up."""

    discarded: int


class ReplayedView(View):
    """What was handed in, what was left, and where to go on unless it is `finished`."""

    read: int
    replayed: int
    known: int
    too_old: int
    next_offset: int | None
    finished: bool


class UnparkedView(View):
    """How many parked messages are tried again."""

    unparked: int


def readable(body: bytes) -> Any:
    """A message's body for people: its JSON with secrets hidden, or the beginning of its text."""
    if len(body) <= LONGEST_BODY:
        try:
            return redact(json.loads(body))
        except ValueError:
            pass
    return redact_secrets(body[:LONGEST_BODY].decode(errors="replace"))
