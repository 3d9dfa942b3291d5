"""RabbitMQ's definitions: the tracked topology, with a user for each service of an instance."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from provision import broker
from suite.secrets import Secrets

TRACKED = Path("deploy/rabbitmq/definitions.json")


def rendered(root: Path, services: Iterable[str], secrets: Secrets) -> dict[str, Any]:
    """Return the tracked definitions with their users, whose permissions the tracked file holds."""
    names = [broker.ADMIN, *services]
    passwords = {name: secrets[f"broker:{name}"] for name in names}
    return broker.add_users(json.loads((root / TRACKED).read_text()), passwords)
