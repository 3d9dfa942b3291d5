"""The operator's tables in every service's database: the audit trail and the dead letters."""

import importlib

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.model import RETENTION, DeletedBy, Retained

metadata = MetaData()

# A trigger makes it append-only.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("request_id", Text),
    Column("trace_id", Text),
    Index("ix_audit_entries_target", "target", "id"),
    info={RETENTION: Retained("evidence of what staff did: a trigger refuses to change it")},
)

# An operator moves dead letters here from their queue, to search, redrive or discard them. `digest`
# identifies one that was fetched twice; `message_id` is null without a readable envelope, and then
# it can only be discarded.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("message_id", Uuid),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("correlation_id", Text),
    Column("trace_id", Text),
    Column("sender", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("error_detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_failed_at", DateTime(timezone=True)),
    Column("last_failed_at", DateTime(timezone=True)),
    Column("fetched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("ix_dead_letters_error", "error", "type"),
    info={RETENTION: DeletedBy("an operator, who redrives or discards the message")},
)

FUNCTIONS = (
    """
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'audit entries are never changed or deleted';
end $$
""",
    """
create trigger audit_is_append_only before update or delete on audit_entries
for each row execute function audit_is_append_only()
""",
    """
-- Lets ids in that are older than the inbox: makes the partition of their days once more. The
-- hourly roll drops it again when its time is up.
create function inbox_reopen(ids uuid[]) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare day date; part text;
begin
  perform pg_advisory_xact_lock(7201117);
  for day in
    select distinct (to_timestamp(
      ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0
    ) at time zone 'utc')::date from unnest(ids) as id
  loop
    part := 'inbox_' || to_char(day, 'YYYYMMDD');
    if to_regclass('public.' || part) is null then
      execute format('create table %I partition of inbox for values from (%L) to (%L)',
                     part, inbox_bound(day), inbox_bound(day + 1));
    end if;
  end loop;
end $$
""",
)


def create_operator_tables() -> None:
    """Create the audit trail and the dead letters; every service has a migration for it."""
    # A running service imports this module, and Alembic takes seven megabytes.
    op = importlib.import_module("alembic.op")
    metadata.create_all(op.get_bind())
    for statement in FUNCTIONS:
        op.execute(statement)
