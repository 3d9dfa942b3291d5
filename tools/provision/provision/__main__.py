"""`python -m provision`: provisions PostgreSQL and RabbitMQ for the services."""

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

DESCRIPTION = """Creates databases and roles in PostgreSQL, users and topology in RabbitMQ.

  POSTGRES_URL                  postgresql:// of a superuser; without it PostgreSQL is skipped
  BROKER_API                    http:// of RabbitMQ's management API, with an administrator;
                                without it RabbitMQ is skipped
  BROKER_ADMIN_PASSWORD         the administrator's password
  MIGRATOR_DATABASE_PASSWORD    of the role that owns every table
  SANDBOX_DATABASE_PASSWORD     of the sandbox provider's role, if there is one
  <SERVICE>_DATABASE_PASSWORD   of each service's role
  <SERVICE>_BROKER_PASSWORD     of each service's user
"""


def main() -> None:
    """Provision both servers; exits with a message when a setting is missing."""
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
            roles = passwords("DATABASE", names) | optional_password("DATABASE", databases.SANDBOX)
            asyncio.run(databases.provision(dsn, services, roles))
            print(f"PostgreSQL has a database and a role for {', '.join(services)}.")  # noqa: T201
        if api := os.environ.get("BROKER_API"):
            provision_broker(api, definitions, services)
            print(f"RabbitMQ has the topology, and a user for {', '.join(services)}.")  # noqa: T201
    except MissingSetting as missing:
        sys.exit(f"The setting {missing} is missing; `python -m provision --help` lists them all.")
    except (OSError, httpx.HTTPError, asyncpg.PostgresError) as error:
        sys.exit(f"A server is unreachable or rejected the request: {error}")
    except broker.TopologyIncomplete as incomplete:
        sys.exit(f"RabbitMQ: {incomplete}")


def provision_broker(api: str, definitions: Mapping[str, Any], services: list[str]) -> None:
    """Give the broker its users and topology; raises MissingSetting."""
    users = passwords("BROKER", services) | {broker.ADMIN: require_setting("BROKER_ADMIN_PASSWORD")}
    broker.apply_definitions(api, broker.add_users(definitions, users))


class MissingSetting(LookupError):
    """A required environment variable is missing or empty."""


def require_setting(name: str) -> str:
    """The value of an environment variable; raises MissingSetting."""
    if not (value := os.environ.get(name)):
        raise MissingSetting(name)
    return value


def passwords(kind: str, names: list[str]) -> dict[str, str]:
    """The password of each name; raises MissingSetting."""
    return {name: require_setting(f"{name.upper()}_{kind}_PASSWORD") for name in names}


def optional_password(kind: str, name: str) -> dict[str, str]:
    """The password of a name, if it is set."""
    value = os.environ.get(f"{name.upper()}_{kind}_PASSWORD")
    return {name: value} if value else {}


if __name__ == "__main__":
    main()
