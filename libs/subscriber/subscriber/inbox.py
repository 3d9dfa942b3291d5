"""Inboxes for SQLAlchemy: an event and its effect are one transaction in your own database.

Create the tables once with `await inbox.create_tables()`, or add `metadata` to your migrations.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    Uuid,
    delete,
    func,
    select,
    update,
)
from sqlalchemy import insert as into
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from contracts import registry
from contracts.envelope import Envelope
from subscriber.delivery import Gap, Work

metadata = MetaData()

received = Table(
    "subscriber_inbox",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

sequences = Table(
    "subscriber_sequences",
    metadata,
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)


def is_snapshot(envelope: Envelope) -> bool:
    """Whether it is a snapshot: an aggregate's current state, sent on request."""
    kind = registry.find(envelope.type)
    return kind is not None and kind.kind == "snapshot"


class SqlInbox:
    """Stores the id of each event: handles every event once, in any order."""

    in_order = False

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def create_tables(self) -> None:
        """Create missing tables."""
        async with self.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def __call__(self, envelope: Envelope, work: Work) -> bool:
        """Do the work with a session, once; returns whether it was done now."""
        known = select(received.c.message_id).where(received.c.message_id == envelope.id)
        try:
            async with self.sessions.begin() as session:
                if (await session.execute(known)).first() is not None:
                    return False
                await session.execute(into(received).values(message_id=envelope.id))
                await work(session)
        except IntegrityError:
            # A concurrent delivery committed first, or the work itself violated a constraint.
            async with self.sessions() as session:
                if (await session.execute(known)).first() is not None:
                    return False
            raise
        return True

    async def forget(self, days: int = 30) -> int:
        """Delete ids older than this; returns their number. Retain more days than you replay."""
        async with self.sessions.begin() as session:
            old = received.c.received_at < datetime.now(UTC) - timedelta(days=days)
            deleted = delete(received).where(old).returning(received.c.message_id)
            return len((await session.execute(deleted)).all())


class SequencedInbox(SqlInbox):
    """Handles every event once, and in the order of each aggregate's sequence.

    A lower sequence is a duplicate and ignored; a snapshot sets the sequence. A gap raises Gap, and
    a Subscriber with a history then fills it. A subscriber with this inbox is bound to all event
    types of the aggregates that it handles.
    """

    in_order = True

    async def __call__(self, envelope: Envelope, work: Work) -> bool:
        """Do the work with a session if the event is the next of its aggregate."""
        if envelope.sequence is None:
            return await super().__call__(envelope, work)
        try:
            return await self._next(envelope, envelope.sequence, work)
        except IntegrityError:
            # Either a concurrent delivery wrote the aggregate's first sequence, or the work itself
            # violated a constraint.
            async with self.sessions() as session:
                if envelope.sequence <= await self._known(session, envelope):
                    return False
            raise

    async def _next(self, envelope: Envelope, sequence: int, work: Work) -> bool:
        async with self.sessions.begin() as session:
            known = await self._known(session, envelope)
            if sequence <= known:
                return False
            # A snapshot is the full state at its sequence, so earlier events are not needed.
            if sequence > known + 1 and not is_snapshot(envelope):
                raise Gap(envelope, known)
            await work(session)
            await self._advance(session, envelope, known)
            return True

    async def _known(self, session: AsyncSession, envelope: Envelope) -> int:
        row = (
            select(sequences.c.sequence)
            .where(sequences.c.source == envelope.source, sequences.c.subject == envelope.subject)
            .with_for_update()
        )
        return (await session.execute(row)).scalar() or 0

    async def _advance(self, session: AsyncSession, envelope: Envelope, known: int) -> None:
        """Store the new sequence. Raises IntegrityError when a concurrent one was stored."""
        values = {"sequence": envelope.sequence}
        if known:
            await session.execute(
                update(sequences)
                .where(
                    sequences.c.source == envelope.source,
                    sequences.c.subject == envelope.subject,
                )
                .values(values)
            )
        else:
            key = {"source": envelope.source, "subject": envelope.subject}
            await session.execute(into(sequences).values(key | values))
