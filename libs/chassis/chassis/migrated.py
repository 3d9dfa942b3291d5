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
CONNECT_TIMEOUT = 10.0


async def is_migrated(service: str, url: str) -> bool:
    """Whether a database is at this version's newest revision or a later one.

    An unknown revision is a later one: versions run side by side, and every migration preserves
    what the previous version needs. False when the database cannot be reached.
    """
    known = {file.name.partition("_")[0] for file in folder_of(service).glob("[0-9]*_*.py")}
    try:
        connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=CONNECT_TIMEOUT)
        try:
            found = await connection.fetchval("select version_num from alembic_version")
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError):
        return False
    return found is not None and (found == newest_revision(service) or found not in known)


async def wait_until_migrated(service: str, url: str) -> None:
    """Return once the database is migrated; a process starts after this."""
    while not await is_migrated(service, url):
        log.info("waiting for the database to be migrated", service=service)
        await asyncio.sleep(POLL)


def main() -> None:
    """Wait for the database of the named service."""
    parser = argparse.ArgumentParser(prog="python -m chassis.migrated", description=__doc__)
    parser.add_argument("service", help="the service's name")
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    asyncio.run(wait_until_migrated(parser.parse_args().service, os.environ["DATABASE_URL"]))


if __name__ == "__main__":
    main()
