"""A database and a role per service, and one role that owns every table."""

from collections.abc import Iterable, Mapping

import asyncpg

MIGRATOR = "migrator"
# The sandbox provider is somebody else's system: it keeps its own tables.
SANDBOX = "sandbox"


async def bring(dsn: str, services: Iterable[str], passwords: Mapping[str, str]) -> None:
    """Make every database and role that is missing, and give each role its password.

    dsn: of a superuser. passwords: by role; a role without one is left as it is, and so is its
    database. A service's role may connect to its own database and owns nothing; what it may do
    with a table is granted by the migration that makes the table.
    """
    admin = await asyncpg.connect(dsn)
    try:
        rows = await admin.fetch("select datname from pg_database")
        existing = {row["datname"] for row in rows}
        await _role(admin, MIGRATOR, passwords[MIGRATOR])
        for name in [*services, SANDBOX]:
            if name not in passwords:
                continue
            await _role(admin, name, passwords[name])
            owner = SANDBOX if name == SANDBOX else MIGRATOR
            if name not in existing:
                await admin.execute(f'create database "{name}" owner "{owner}"')
            await admin.execute(f'revoke all on database "{name}" from public')
            await admin.execute(f'grant connect on database "{name}" to "{name}"')
        await admin.execute("revoke connect on database postgres, template1 from public")
    finally:
        await admin.close()


async def _role(admin: "asyncpg.Connection[asyncpg.Record]", name: str, password: str) -> None:
    known = await admin.fetchval("select true from pg_roles where rolname = $1", name)
    literal = await admin.fetchval("select quote_literal($1)", password)
    await admin.execute(f'{"alter" if known else "create"} role "{name}" login password {literal}')
