"""The provider's database: its tables, how they are created, and the connection to it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import session_limits
from chassis.db import Database

_TABLES_LOCK = 0x5A4D_B0C5

metadata = MetaData()


def _created_at() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


charges = Table(
    "charges",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reference", Text, nullable=False, index=True),
    Column("amount", BigInteger, CheckConstraint("amount > 0"), nullable=False),
    Column("currency", Text, CheckConstraint("length(currency) = 3"), nullable=False),
    Column("method", Text, nullable=False),
    Column("capture", Boolean, nullable=False),
    Column("switch_name", Text, nullable=False),
    Column("saved", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("captured_amount", BigInteger, nullable=False),
    Column("refunded_amount", BigInteger, nullable=False),
    Column("failed_refunds", Integer, nullable=False),
    Column("failure_code", Text),
    Column("card", JSONB(none_as_null=True)),
    Column("paypal_email", Text),
    Column("return_url", Text),
    Column("metadata", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    _created_at(),
    CheckConstraint(
        "refunded_amount BETWEEN 0 AND captured_amount", name="refunded_within_captured"
    ),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("charge_id", Text, ForeignKey("charges.id"), nullable=False, index=True),
    Column("amount", BigInteger, CheckConstraint("amount > 0"), nullable=False),
    Column("status", Text, nullable=False),
    Column("failure_code", Text),
    Column("reference", Text),
    _created_at(),
)

# No foreign key to the charge: entries are only written with it, and most often of all.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("charge_id", Text, nullable=False),
    Column("reference", Text, nullable=False, index=True),
    Column("transfer", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _created_at(),
)

payment_methods = Table(
    "payment_methods",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("switch_name", Text, nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
    _created_at(),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    _created_at(),
)

# Webhooks of one lane are sent one after the other; a lane is a charge, unless its switch breaks
# the order.
webhooks = Table(
    "webhooks",
    metadata,
    Column("position", BigInteger, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("charge_id", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("copies", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    _created_at(),
)
Index(
    "webhooks_pending",
    webhooks.c.lane,
    webhooks.c.position,
    postgresql_where=webhooks.c.delivered_at.is_(None),
)


def connect(url: str) -> Database:
    """The database at `url`."""
    return Database(url, pool_size=20, application_name="sandbox")


async def make_tables(url: str) -> None:
    """Create the missing tables; processes that start together take turns."""
    limits = {"server_settings": session_limits.ALL_SESSIONS}
    engine = create_async_engine(url, connect_args=limits)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _TABLES_LOCK}
            )
            await connection.run_sync(metadata.create_all)
    finally:
        await engine.dispose()
