"""The bus: a service's message handlers, and the transaction around each batch."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Generic, Protocol, TypeVar

from opentelemetry.trace import Span
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox, instrumentation, outbox, revocations
from chassis.context import Context, use_context
from chassis.db import Database
from chassis.messaging.incoming import Delivery
from chassis.outbox import Answer
from chassis.settings import ServiceSettings
from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked
from contracts.message import Message

S = TypeVar("S", bound=ServiceSettings)
M_contra = TypeVar("M_contra", bound=Message, contravariant=True)
Plan = TypeVar("Plan")
Outcome = TypeVar("Outcome")

One = Callable[[Any, AsyncSession], Awaitable[Answer]]
Many = Callable[[Any, AsyncSession], Awaitable[Sequence[Answer] | None]]
OneFunction = TypeVar("OneFunction", bound=One)
ManyFunction = TypeVar("ManyFunction", bound=Many)


@dataclass(frozen=True, slots=True)
class Replied:
    """Returned by `record` when no call is needed: the answer is known already."""

    answer: Answer


class ExternalCall(Protocol[M_contra, Plan, Outcome]):
    """The protocol of a handler that calls an external system: record → call → finish.

    `record` stores the attempt with its idempotency key and commits; `call` sends the request with
    a time limit and no open transaction; `finish` stores outcome, answer and inbox row together.
    After a crash in between the message is redelivered, so `record` must find its attempt again and
    `call` must send the same key.
    """

    async def record(self, command: M_contra, tx: AsyncSession) -> Plan | Replied:
        """Store the attempt, or answer at once."""

    async def call(self, plan: Plan) -> Outcome:
        """Call the external system; raise to have the message retried."""

    async def finish(
        self, command: M_contra, plan: Plan, outcome: Outcome, tx: AsyncSession
    ) -> Answer:
        """Store the outcome and answer."""


# Every service stores the revocations of access tokens that identity publishes.
COMMON_HANDLERS: Mapping[type[Message], Many] = {
    UserTokensRevoked: revocations.store,
    SessionTokensRevoked: revocations.store,
    RoleTokensRevoked: revocations.store,
}


@dataclass
class Bus(Generic[S]):
    """The handlers of one service; `Service.compose` sets `settings` and fills `resources`.

    low_priority: the types of messages whose effect no client waits for.
    """

    service: str
    handlers: dict[type[Message], One] = field(default_factory=dict)
    batch_handlers: dict[type[Message], Many] = field(default_factory=lambda: dict(COMMON_HANDLERS))
    external_calls: dict[type[Message], ExternalCall[Any, Any, Any]] = field(default_factory=dict)
    low_priority: set[str] = field(default_factory=set)
    resources: SimpleNamespace = field(default_factory=SimpleNamespace)
    _settings: S | None = None

    @property
    def settings(self) -> S:
        """The service's settings. Raises RuntimeError before the service is composed."""
        if self._settings is None:
            raise RuntimeError(f"{self.service} is not composed yet")
        return self._settings

    @settings.setter
    def settings(self, settings: S) -> None:
        self._settings = settings

    @property
    def handled(self) -> list[type[Message]]:
        """The message classes that this service handles, to which its queue is bound."""
        return [*self.handlers, *self.batch_handlers, *self.external_calls]

    def handles(self, *messages: type[Message]) -> Callable[[OneFunction], OneFunction]:
        """Handle messages one at a time: `async (message, tx) -> answer(s) or None`."""

        def register(function: OneFunction) -> OneFunction:
            for message in messages:
                self._claim(message)
                self.handlers[message] = function
            return function

        return register

    def handles_many(
        self, message: type[Message], *, low_priority: bool = False
    ) -> Callable[[ManyFunction], ManyFunction]:
        """Handle a batch of messages of one class with set-based statements.

        `async (messages, tx) -> answers`, one entry per message in the same order, or None.
        A `low_priority` message waits up to `max_batch_delay` for others to share its transaction,
        since no client waits for its effect; the arrival of any other message ends the wait.
        """

        def register(function: ManyFunction) -> ManyFunction:
            self._claim(message)
            self.batch_handlers[message] = function
            if low_priority:
                self.low_priority.add(message.type_name())
            return function

        return register

    def calls(self, message: type[Message]) -> Callable[[type[Any]], type[Any]]:
        """Handle a message by an external call; decorates an `ExternalCall` class."""

        def register(handler: type[Any]) -> type[Any]:
            self._claim(message)
            self.external_calls[message] = handler()
            return handler

        return register

    def _claim(self, message: type[Message]) -> None:
        if message in self.handled:
            raise TypeError(f"{message.__name__} already has a handler in {self.service}")

    async def receive(self, database: Database, deliveries: Sequence[Delivery]) -> None:
        """Handle deliveries in one transaction, with their inbox rows and answers.

        Raises the handler's exception; the whole batch is then rolled back.
        """

        async def work(tx: AsyncSession) -> list[Delivery]:
            unknown = await inbox.insert_new(tx, self.service, [d.envelope.id for d in deliveries])
            fresh = list(
                {d.envelope.id: d for d in deliveries if d.envelope.id in unknown}.values()
            )
            for run in runs(fresh):
                await self._handle(run, tx, span)
            return fresh

        with instrumentation.batch(self.service, deliveries) as span:
            fresh = await database.retry(work)
        instrumentation.record_effects(deliveries, fresh)

    async def _handle(self, run: Sequence[Delivery], tx: AsyncSession, batch: Span) -> None:
        kind = type(run[0].message)
        if kind in self.batch_handlers:
            with instrumentation.handling(self.service, run, batch) as contexts:
                shared = Context.of(contexts[0].span, *(d.envelope for d in run))
                with use_context(shared):
                    answers = await self.batch_handlers[kind]([d.message for d in run], tx)
            if answers is not None:
                for answer, own in zip(answers, contexts, strict=True):
                    with use_context(own):
                        outbox.add(tx, *outbox.listed(answer))
            return
        for delivery in run:
            handling = instrumentation.handling(self.service, [delivery], batch)
            with handling as (own,), use_context(own):
                answer = await self.handlers[kind](delivery.message, tx)
                outbox.add(tx, *outbox.listed(answer))

    async def receive_external(self, database: Database, delivery: Delivery) -> None:
        """Handle one delivery by record → call → finish."""
        handler = self.external_calls[type(delivery.message)]
        handling = instrumentation.handling(self.service, [delivery])
        with handling as (own,), use_context(own):
            plan = await database.retry(lambda tx: self._record(handler, delivery, tx))
            if isinstance(plan, Replied):
                return
            outcome = await handler.call(plan)
            await database.retry(lambda tx: self._finish(handler, delivery, plan, outcome, tx))

    async def _record(
        self, handler: ExternalCall[Any, Any, Any], delivery: Delivery, tx: AsyncSession
    ) -> Any:
        if await inbox.contains(tx, self.service, delivery.envelope.id):
            return Replied(None)
        plan = await handler.record(delivery.message, tx)
        if isinstance(plan, Replied):
            await inbox.insert_new(tx, self.service, [delivery.envelope.id])
            outbox.add(tx, *outbox.listed(plan.answer))
        return plan

    async def _finish(
        self,
        handler: ExternalCall[Any, Any, Any],
        delivery: Delivery,
        plan: Any,
        outcome: Any,
        tx: AsyncSession,
    ) -> None:
        if await inbox.insert_new(tx, self.service, [delivery.envelope.id]):
            answer = await handler.finish(delivery.message, plan, outcome, tx)
            outbox.add(tx, *outbox.listed(answer))


def runs(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Group deliveries by class, preserving their order within each correlation id and subject."""
    grouped: list[list[Delivery]] = []
    last: dict[str, int] = {}
    for delivery in deliveries:
        keys = (delivery.envelope.correlation_id, delivery.envelope.subject)
        earliest = max((last.get(key, 0) for key in keys), default=0)
        kind = type(delivery.message)
        place = next(
            (i for i in range(earliest, len(grouped)) if type(grouped[i][0].message) is kind),
            len(grouped),
        )
        if place == len(grouped):
            grouped.append([])
        grouped[place].append(delivery)
        for key in keys:
            last[key] = place
    return grouped
