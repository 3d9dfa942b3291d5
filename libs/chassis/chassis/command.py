"""The command line, `python -m <service> api|worker|all|migrate|revision|openapi`.

Each loads only what it needs. The settings are read first, so that a wrong one is reported at once.
"""

import argparse
import asyncio
import gc
import importlib
import json
import pkgutil
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from chassis.per_service import use_service
from chassis.settings import ServiceSettings, load

if TYPE_CHECKING:
    from chassis.service import Service

KINDS = ("api", "worker", "all", "migrate", "revision", "openapi")


def main(name: str, settings: type[ServiceSettings], after_migration: str | None = None) -> None:
    """Run the service that `<name>.main` composes.

    after_migration: `module:function`, awaited with the settings at the end of `migrate`. Exits
    with 2 and an explanation when a setting is missing or malformed.
    """
    # Startup allocates long-lived objects only; collecting garbage would find none.
    gc.disable()
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("kind", nargs="?", default="all", choices=KINDS)
    parser.add_argument(
        "-m", "--message", default="change the tables", help="what a new revision does"
    )
    arguments = parser.parse_args()
    if arguments.kind == "openapi":
        print(json.dumps(_composed(name).document()))  # noqa: T201
        return
    loaded = load(settings)
    if arguments.kind in ("api", "worker", "all"):
        process = importlib.import_module("chassis.process")
        sys.exit(process.run(name, [(_composed(name), loaded)], arguments.kind))
    is_draft = arguments.kind == "revision"
    with use_service(name):
        asyncio.run(_migrate(name, loaded, None if is_draft else after_migration))
    if is_draft:
        asyncio.run(_draft(name, loaded, arguments.message))


def _composed(name: str) -> "Service[Any]":
    service: Service[Any] = importlib.import_module(f"{name}.main").service
    return service


async def _migrate(name: str, settings: ServiceSettings, after: str | None) -> None:
    # Only migrations need Alembic; an import at the top would load it into every service.
    migrations = importlib.import_module("chassis.migrations")
    importlib.import_module("chassis.logs").configure(settings.log_level)
    role = unquote(urlsplit(settings.database_url).username or "")
    await migrations.migrate(name, settings.owner_url, role)
    if after is not None:
        await pkgutil.resolve_name(after)(settings)


async def _draft(name: str, settings: ServiceSettings, message: str) -> None:
    migrations = importlib.import_module("chassis.migrations")
    metadata = _composed(name).metadata
    file = await migrations.write_revision(name, settings.owner_url, metadata, message)
    print(f"{file} is a draft: read it before it runs.")  # noqa: T201
