"""Databases for tests: created from a migrated template and reset between tests.

A reset costs a few milliseconds, a new database hundreds. The rows that migrations inserted are
restored; a database whose schema a test changed is dropped.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from testkit.servers import setting

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
      -- Tables with generated columns hold no rows of migrations; they are only emptied.
      continue;
    end if;
    body := body || format('insert into public.%I overriding system value table seed.%I; ',
                           name, name);
  end loop;
  -- Foreign keys and append-only triggers are disabled during the reset.
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
# Sessions that a test left open must not lock the tables.
END_OTHER_SESSIONS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
RESET = "set lock_timeout = '2s'; select seed.reset()"


def postgres_url() -> str:
    """The test server's URL, for asyncpg."""
    return setting("TEST_POSTGRES_URL").replace("postgresql://", "postgresql+asyncpg://", 1)


async def administer(statement: str) -> None:
    """Execute a statement as the superuser, outside of a transaction."""
    engine = create_async_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


def database_url(name: str) -> str:
    """The URL of one database on the test server."""
    return make_url(postgres_url()).set(database=name).render_as_string(hide_password=False)


@contextmanager
def empty_database(name: str) -> Iterator[str]:
    """A database without tables, for the block; gives its URL."""
    asyncio.run(administer(f"create database {name}"))
    try:
        yield database_url(name)
    finally:
        asyncio.run(administer(f"drop database {name} with (force)"))


@dataclass
class TestDatabase:
    """A database at `url` (`postgresql://…`), with a fingerprint of its original schema."""

    name: str
    url: str
    schema: tuple[str, ...] = ()

    async def prepare(self) -> None:
        """Save the rows and the schema of the migrations, for `reset`."""
        async with self._connected() as connection:
            await connection.execute(CREATE_RESET)
            self.schema = tuple(await connection.fetchrow(SCHEMA))

    async def reset(self) -> bool:
        """Restore the original rows; False when the schema changed: drop the database then."""
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
"""The clean databases of this process, by template."""
