"""Schema migrations by Alembic, for `python -m <service> migrate`, and the chassis's own tables."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from alembic import op
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import revocations, session_limits, tables
from chassis.ops import tables as operator_tables
from chassis.revisions import folder_of

LOCK = 7_201_116

INBOX_FUNCTIONS = """
-- The partition of a day begins at the lowest UUIDv7 of its first millisecond.
create function inbox_bound(day date) returns uuid language sql immutable as $$
  select (lpad(to_hex(
    (extract(epoch from day::timestamp at time zone 'utc') * 1000)::bigint), 12, '0')
          || '00000000000000000000')::uuid
$$;

-- The service's role owns no table, so partitions are made and dropped on its owner's behalf.
create function inbox_roll(days integer) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare day date; part text;
begin
  if days < 1 then raise exception 'the inbox must remember at least one day'; end if;
  perform pg_advisory_xact_lock(7201117);
  for day in
    select generate_series(current_date - days, current_date + 7, interval '1 day')::date
  loop
    part := 'inbox_' || to_char(day, 'YYYYMMDD');
    if to_regclass('public.' || part) is null then
      execute format('create table %I partition of inbox for values from (%L) to (%L)',
                     part, inbox_bound(day), inbox_bound(day + 1));
    end if;
  end loop;
  for part in select relname from pg_class
              where relname ~ '^inbox_[0-9]{8}$' and relkind = 'r'
                and to_date(right(relname, 8), 'YYYYMMDD') < current_date - days loop
    execute format('drop table %I', part);
  end loop;
end $$;

create function inbox_oldest() returns uuid language sql stable as $$
  select inbox_bound(min(to_date(right(relname, 8), 'YYYYMMDD')))
  from pg_class where relname ~ '^inbox_[0-9]{8}$' and relkind = 'r'
$$;
"""

# The relay's statements, as functions to save round trips. Every migration replaces them: they
# belong to the chassis and not to a revision of a service. The function locks in a statement of its
# own, so that the rows are read with a snapshot younger than the lock; the connection holds the
# lock until the deletion is committed. When other relays hold every shard, it waits for the first.
# Between the two calls the session is idle outside a transaction: PostgreSQL ends it, and releases
# its locks, when its process is lost or frozen. A sent row that a crash restores is sent twice,
# which the inbox recognises, so its deletion need not be flushed to disk.
RELAY_FUNCTIONS = """
create or replace function outbox_take(space integer, wanted integer[], most integer)
returns table (held integer[], seq bigint, message_id uuid, subject text, exchange text,
               routing_key text, headers jsonb, body bytea) language plpgsql as $$
declare free integer[];
begin
  perform set_config('idle_session_timeout', '@SILENCE@s', false);
  select coalesce(array_agg(s), '{}') into free
    from unnest(wanted) s where pg_try_advisory_lock(space, s);
  if free = '{}' then
    begin
      set local lock_timeout = '200ms';
      perform pg_advisory_lock(space, wanted[1]);
      free := wanted[1:1];
    exception when lock_not_available then
      null; -- other relays hold all of them still
    end;
  end if;
  return query select free, o.* from (select 1) one left join lateral
    (select w.seq, w.message_id, w.subject, w.exchange, w.routing_key, w.headers, w.body
       from outbox w where w.parked_at is null and w.shard = any (free)
      order by w.seq limit most) o on true;
end $$;

create or replace procedure outbox_sent(sent bigint[]) language plpgsql as $$
begin
  set local synchronous_commit = off;
  reset idle_session_timeout;
  delete from outbox where outbox.seq = any (sent);
  commit;
  perform pg_advisory_unlock_all();
end $$;
""".replace("@SILENCE@", str(session_limits.SILENCE))


def create_message_tables(days: int = 14) -> None:
    """Create outbox, inbox and idempotency keys; a service's first migration begins with it."""
    tables.metadata.create_all(op.get_bind())
    for statement in INBOX_FUNCTIONS.split("\n\n"):
        op.execute(statement)
    op.execute(text("select inbox_roll(:days)").bindparams(days=days))
    # Rows of the outbox live briefly; vacuuming early limits its size.
    op.execute(
        "alter table outbox set (autovacuum_vacuum_scale_factor = 0.01, "
        "autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_limit = 2000)"
    )


def create_token_cutoffs() -> None:
    """Create the table of revoked tokens; every service has a migration for it."""
    revocations.metadata.create_all(op.get_bind())


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder_of(service)))
    config.set_main_option("version_locations", str(folder_of(service)))
    config.set_main_option("path_separator", "os")
    return config


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    return not (kind == "table" and name is not None and name.startswith("inbox_2"))


def _upgrade(connection: Connection, service: str) -> None:
    config = _config(service)
    script = ScriptDirectory(str(folder_of(service)), version_locations=[folder_of(service)])

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001

    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("set local lock_timeout = '10s'"))
    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, transaction_per_migration=False)
        environment.run_migrations()


def run_revision(connection: Connection, service: str, revision: str) -> None:
    """Run one revision at any revision of the database, for tests of data migrations."""
    script = ScriptDirectory(str(folder_of(service)), version_locations=[folder_of(service)])
    found = script.get_revision(revision)
    assert found is not None  # noqa: S101
    with Operations.context(MigrationContext.configure(connection)):
        found.module.upgrade()


def _grant(connection: Connection, role: str) -> None:
    preparer = connection.dialect.identifier_preparer
    quoted = preparer.quote(role)
    database = preparer.quote(connection.scalar(text("select current_database()")))
    for statement in (
        # A new database is open to every role by default.
        f"revoke all on database {database} from public",
        f"grant connect on database {database} to {quoted}",
        f"grant usage on schema public to {quoted}",
        f"grant select, insert, update, delete on all tables in schema public to {quoted}",
        f"grant usage on all sequences in schema public to {quoted}",
        f"grant execute on all routines in schema public to {quoted}",
    ):
        connection.execute(text(statement))


def _all_of(metadata: MetaData) -> list[MetaData]:
    return [metadata, tables.metadata, operator_tables.metadata, revocations.metadata]


@cache
def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """The differences between the models and the migrated database."""
    migration = MigrationContext.configure(
        connection, opts={"include_name": _is_ours, "compare_type": True}
    )
    found: list[Any] = compare_metadata(migration, _all_of(metadata))  # type: ignore[arg-type]
    return found


async def migrate(service: str, url: str, role: str | None) -> None:
    """Upgrade a database to the newest revision and grant the privileges of its role."""
    limits = {"server_settings": session_limits.ALL_SESSIONS}
    engine = create_async_engine(url, connect_args=limits)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, service)
            await connection.run_sync(tables.metadata.create_all)
            for statement in RELAY_FUNCTIONS.split("\n\n"):
                await connection.execute(text(statement.replace(":", "\\:")))
            if role is not None and role != make_url(url).username:
                await connection.run_sync(_grant, role)
    finally:
        await engine.dispose()


REVISION = '''"""{title}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    {body}
'''


async def write_revision(service: str, url: str, metadata: MetaData, message: str) -> Path:
    """Write a new migration from the difference between the models and a migrated database.

    It is a draft: review it, name its unnamed constraints, and migrate the existing data.
    """
    folder = folder_of(service)
    known = sorted(file.name.split("_")[0] for file in folder.glob("[0-9]*.py"))
    engine = create_async_engine(url)

    def draft(connection: Connection) -> str:
        migration = MigrationContext.configure(
            connection, opts={"include_name": _is_ours, "compare_type": True}
        )
        wanted = produce_migrations(migration, _all_of(metadata))  # type: ignore[arg-type]
        assert wanted.upgrade_ops is not None  # noqa: S101
        drafted = render_python_code(wanted.upgrade_ops)
        return "\n".join(line for line in drafted.splitlines() if "###" not in line).strip()

    try:
        async with engine.connect() as connection:
            body = await connection.run_sync(draft)
    finally:
        await engine.dispose()
    revision = f"{len(known) + 1:04d}"
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    file = folder / f"{revision}_{slug}.py"
    before = f'"{known[-1]}"' if known else None
    file.write_text(
        REVISION.format(title=message.capitalize(), revision=revision, before=before, body=body)
    )
    return file
