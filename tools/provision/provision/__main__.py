"""`python -m provision`: brings PostgreSQL and RabbitMQ to what the services need."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from provision import broker, databases

DESCRIPTION = """Makes databases and roles in PostgreSQL, users and topology in RabbitMQ.

  POSTGRES_URL                  postgresql:// of a superuser; without it PostgreSQL is left alone
  BROKER_API                    http:// of RabbitMQ's management API, with an administrator;
                                without it RabbitMQ is left alone
  BROKER_ADMIN_PASSWORD         the administrator's password
  MIGRATOR_DATABASE_PASSWORD    of the role that owns every table
  SANDBOX_DATABASE_PASSWORD     of the sandbox provider's role, where there is one
  <SERVICE>_DATABASE_PASSWORD   of each service's role
  <SERVICE>_BROKER_PASSWORD     of each service's user
"""


def main() -> None:
    """Bring both servers to their state, or say which setting is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m provision",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--definitions", type=Path, required=True, help="RabbitMQ's topology: a definitions file"
    )
    definitions = json.loads(parser.parse_args().definitions.read_text())
    services = sorted(entry["user"] for entry in definitions["permissions"])
    try:
        if dsn := os.environ.get("POSTGRES_URL"):
            names = [*services, databases.MIGRATOR]
            roles = passwords("DATABASE", names) | optional("DATABASE", databases.SANDBOX)
            asyncio.run(databases.bring(dsn, services, roles))
            print(f"PostgreSQL has a database and a role for {', '.join(services)}.")  # noqa: T201
        if api := os.environ.get("BROKER_API"):
            bring_broker(api, definitions, services)
            print(f"RabbitMQ has the topology, and a user for {', '.join(services)}.")  # noqa: T201
    except MissingSetting as missing:
        sys.exit(f"The setting {missing} is missing; `python -m provision --help` lists them all.")
    except (OSError, httpx.HTTPError, asyncpg.PostgresError) as error:
        sys.exit(f"A server refused, or is not there: {error}")


def bring_broker(api: str, definitions: Mapping[str, Any], services: list[str]) -> None:
    """Give the broker its users and topology."""
    users = passwords("BROKER", services) | {broker.ADMIN: setting("BROKER_ADMIN_PASSWORD")}
    broker.bring(api, broker.with_users(definitions, users))


class MissingSetting(LookupError):
    """An environment variable that must be there."""


def setting(name: str) -> str:
    """Return an environment variable that must not be empty."""
    if not (value := os.environ.get(name)):
        raise MissingSetting(name)
    return value


def passwords(kind: str, names: list[str]) -> dict[str, str]:
    """Return the password of each name; raises MissingSetting."""
    return {name: setting(f"{name.upper()}_{kind}_PASSWORD") for name in names}


def optional(kind: str, name: str) -> dict[str, str]:
    """Return a password where one is given."""
    value = os.environ.get(f"{name.upper()}_{kind}_PASSWORD")
    return {name: value} if value else {}


if __name__ == "__main__":
    main()
