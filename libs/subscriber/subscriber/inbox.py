"""Inboxes for SQLAlchemy: an event and what it causes are one transaction in your own database.

Make their tables once with `await inbox.create_tables()`, or put `metadata` into your migrations.
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
    """Whether it is the present state of an aggregate, told on request."""
    kind = registry.find(envelope.type)
    return kind is not None and kind.kind == "snapshot"


class SqlInbox:
    """Remembers the id of each event: every event once, in whatever order they come."""

    in_order = False

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def create_tables(self) -> None:
        """Make the tables where they are missing."""
        async with self.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def __call__(self, envelope: Envelope, work: Work) -> bool:
        """Do the work with a session, once; tells whether it was done now."""
        known = select(received.c.message_id).where(received.c.message_id == envelope.id)
        try:
            async with self.sessions.begin() as session:
                if (await session.execute(known)).first() is not None:
                    return False
                await session.execute(into(received).values(message_id=envelope.id))
                await work(session)
        except IntegrityError:
            # Either a twin was quicker, which shows now, or the work itself broke a rule.
            async with self.sessions() as session:
                if (await session.execute(known)).first() is not None:
                    return False
            raise
        return True

    async def forget(self, days: int = 30) -> int:
        """Forget ids received longer ago than this; returns how many. Keep more than you replay."""
        async with self.sessions.begin() as session:
            old = received.c.received_at < datetime.now(UTC) - timedelta(days=days)
            gone = delete(received).where(old).returning(received.c.message_id)
            return len((await session.execute(gone)).all())


class SequencedInbox(SqlInbox):
    """Follows each aggregate number by number: every event once, and in order.

    An older number is a repeat and does nothing; a snapshot is a beginning. A number that leaves
    some out raises Gap, which a Subscriber with a history heals. A subscriber of this kind is bound
    to every type of the aggregates it handles.
    """

    in_order = True

    async def __call__(self, envelope: Envelope, work: Work) -> bool:
        """Do the work with a session if the event is the next of its aggregate."""
        if envelope.sequence is None:
            return await super().__call__(envelope, work)
        try:
            return await self._next(envelope, envelope.sequence, work)
        except IntegrityError:
            # Either a twin wrote the aggregate's first number, which shows now, or the work itself
            # broke a rule.
            async with self.sessions() as session:
                if envelope.sequence <= await self._known(session, envelope):
                    return False
            raise

    async def _next(self, envelope: Envelope, sequence: int, work: Work) -> bool:
        async with self.sessions.begin() as session:
            known = await self._known(session, envelope)
            if sequence <= known:
                return False
            # A snapshot is the whole state at its number: it needs nothing of what was before.
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
        """Write the new number; a twin that was quicker shows as an IntegrityError."""
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
