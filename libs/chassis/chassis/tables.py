"""The chassis's own tables, in every service's database: outbox, inbox, idempotency keys.

They belong to the chassis and not to a revision of a service: each migration creates missing ones.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.model import RETENTION, DeletedBy, Pruned

metadata = MetaData()

outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("message_id", Uuid, nullable=False),
    Column("shard", SmallInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    Column("parked_at", DateTime(timezone=True)),
    Index("ix_outbox_waiting", "shard", "seq", postgresql_where=text("parked_at is null")),
    info={
        RETENTION: DeletedBy("the relay at the broker's confirm, or an operator for a parked one")
    },
)

# Range-partitioned by the message id: a UUIDv7 sorts by time, so a duplicate falls into the same
# partition however late it arrives.
inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    PrimaryKeyConstraint("consumer", "message_id", name="pk_inbox"),
    postgresql_partition_by="RANGE (message_id)",
    info={RETENTION: DeletedBy("the sweep `inbox partitions`, which drops a day after INBOX_DAYS")},
)

# Redelivered messages whose handling was started and has not ended; normally empty.
handling_starts = Table(
    "handling_starts",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("starts", SmallInteger, nullable=False, server_default="1"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    info={RETENTION: Pruned(days=30, by="started_at")},
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("resource_id", Uuid, nullable=False),
    Column("status", SmallInteger),
    Column("answer", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("principal", "key", name="pk_idempotency_keys"),
    CheckConstraint("state in ('running', 'done')", name="ck_idempotency_keys_state"),
    Index("ix_idempotency_keys_created_at", "created_at"),
    info={RETENTION: Pruned(days=1, by="created_at")},
)
