"""`python -m chassis.migrated SERVICE` ends once the service's database is migrated.

It runs before each process of a service, so it loads neither the service nor Alembic. The
database's address is in the environment, as DATABASE_URL.
"""

import argparse
import asyncio
import os

import asyncpg
import structlog

from chassis.revisions import folder_of, newest_revision

log = structlog.get_logger()

POLL = 1.0
PATIENCE = 10.0


async def is_migrated(service: str, url: str) -> bool:
    """Say whether a database is in this version's form, or in a later one.

    A revision this version does not know is a later one: versions run side by side, and every
    migration leaves what the version before needs. A database that cannot be asked is not.
    """
    known = {file.name.partition("_")[0] for file in folder_of(service).glob("[0-9]*_*.py")}
    try:
        connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=PATIENCE)
        try:
            found = await connection.fetchval("select version_num from alembic_version")
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError):
        return False
    return found is not None and (found == newest_revision(service) or found not in known)


async def wait_until_migrated(service: str, url: str) -> None:
    """Return once the database is migrated; what starts a process waits for this first."""
    while not await is_migrated(service, url):
        log.info("waiting for the database to be migrated", service=service)
        await asyncio.sleep(POLL)


def main() -> None:
    """Wait for the database of the service that is named."""
    parser = argparse.ArgumentParser(prog="python -m chassis.migrated", description=__doc__)
    parser.add_argument("service", help="whose migrations are meant")
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    asyncio.run(wait_until_migrated(parser.parse_args().service, os.environ["DATABASE_URL"]))


if __name__ == "__main__":
    main()
