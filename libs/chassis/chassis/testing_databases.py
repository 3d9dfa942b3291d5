"""Databases for tests: made once from a migrated template, and emptied between tests.

Emptying costs a few milliseconds where making a database costs hundreds. What the migrations put
into a table is put back; a test that changed the schema itself gets its database thrown away.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

CREATE_RESET = """
do $$
declare name text; body text := '';
begin
  create schema seed;
  for name in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
              order by 1 loop
    execute format('create table seed.%I as table public.%I', name, name);
    body := body || format('delete from public.%I; ', name);
    if exists (select 1 from pg_attribute where attrelid = format('public.%I', name)::regclass
               and attnum > 0 and not attisdropped and attgenerated <> '') then
      -- A table with generated columns is never seeded here; it is only emptied.
      continue;
    end if;
    body := body || format('insert into public.%I overriding system value table seed.%I; ',
                           name, name);
  end loop;
  -- Neither foreign keys nor triggers that guard history stand in the way of emptying.
  execute format('create function seed.reset() returns void language plpgsql as %L',
                 'begin set local session_replication_role = replica; ' || body || ' end');
end $$
"""
SCHEMA = """
select (select count(*) || '/' || coalesce(max(oid::int8), 0) from pg_class),
       (select count(*) || '/' || coalesce(max(oid::int8), 0) from pg_constraint),
       (select count(*) || '/' || coalesce(max(oid::int8), 0) from pg_trigger),
       (select count(*) || '/' || coalesce(max(oid::int8), 0) from pg_proc),
       (select count(*) || '/' || coalesce(max(oid::int8), 0) from pg_attrdef)
"""
# Whatever a test left running must not hold a lock on what is emptied.
END_OTHER_SESSIONS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
RESET = "set lock_timeout = '2s'; select seed.reset()"


@dataclass
class TestDatabase:
    """One database at `url` (`postgresql://…`), with the schema it had when it was made."""

    name: str
    url: str
    schema: tuple[str, ...] = ()

    async def prepare(self) -> None:
        """Learn what the migrations left in it, so that it can be brought back to that."""
        async with self._connected() as connection:
            await connection.execute(CREATE_RESET)
            self.schema = tuple(await connection.fetchrow(SCHEMA))

    async def reset(self) -> bool:
        """Bring it back to what it was; False when its schema was changed and it must go."""
        async with self._connected() as connection:
            if tuple(await connection.fetchrow(SCHEMA)) != self.schema:
                return False
            await connection.execute(END_OTHER_SESSIONS)
            try:
                await connection.execute(RESET)
            except asyncpg.PostgresError:
                return False
            return True

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()


AVAILABLE: dict[str, list[TestDatabase]] = {}
"""The clean databases of this process, by the name of their template."""
