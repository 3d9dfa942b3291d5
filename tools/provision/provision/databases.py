"""A database and a role per service, and one role that owns every table."""

from collections.abc import Iterable, Mapping

import asyncpg

MIGRATOR = "migrator"
# The sandbox provider stands for an external system, which owns its tables.
SANDBOX = "sandbox"


async def provision(dsn: str, services: Iterable[str], passwords: Mapping[str, str]) -> None:
    """Create missing databases and roles, and set the password of each role.

    dsn: of a superuser. passwords: by role; a role without one is skipped, and so is its database.
    A service's role may connect to its own database and owns nothing; the migration that creates a
    table grants the privileges on it.
    """
    admin = await asyncpg.connect(dsn)
    try:
        rows = await admin.fetch("select datname from pg_database")
        existing = {row["datname"] for row in rows}
        await _create_or_alter_role(admin, MIGRATOR, passwords[MIGRATOR])
        for name in [*services, SANDBOX]:
            if name not in passwords:
                continue
            await _create_or_alter_role(admin, name, passwords[name])
            owner = SANDBOX if name == SANDBOX else MIGRATOR
            if name not in existing:
                await admin.execute(f'create database "{name}" owner "{owner}"')
            await admin.execute(f'revoke all on database "{name}" from public')
            await admin.execute(f'grant connect on database "{name}" to "{name}"')
        await admin.execute("revoke connect on database postgres, template1 from public")
    finally:
        await admin.close()


async def _create_or_alter_role(
    admin: "asyncpg.Connection[asyncpg.Record]", name: str, password: str
) -> None:
    exists = await admin.fetchval("select true from pg_roles where rolname = $1", name)
    literal = await admin.fetchval("select quote_literal($1)", password)
    await admin.execute(f'{"alter" if exists else "create"} role "{name}" login password {literal}')
