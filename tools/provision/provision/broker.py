"""RabbitMQ's users and topology: the tracked definitions, with a password for each user."""

import base64
import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

VHOST = "cartwright"
ADMIN = "admin"
WORK_QUEUE = re.compile(r"svc\.\w+")
# Between two imports of definitions.
PAUSE = 0.5

Binding = tuple[str, str, str]
"""The exchange, the queue and the routing key."""


def add_users(definitions: Mapping[str, Any], passwords: Mapping[str, str]) -> dict[str, Any]:
    """The definitions with a user for every password and the permissions of these users.

    passwords: by user; `admin` is the administrator; a user without permissions in the
    definitions is left out.
    """
    known = {entry["user"] for entry in definitions["permissions"]}
    users = [_user(ADMIN, passwords[ADMIN], tags=["administrator"])]
    users += [_user(name, passwords[name]) for name in sorted(known & set(passwords))]
    names = {user["name"] for user in users}
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        **definitions,
        "users": users,
        "permissions": [
            {"user": ADMIN, "vhost": VHOST, **everything},
            *(entry for entry in definitions["permissions"] if entry["user"] in names),
        ],
        "topic_permissions": [
            entry for entry in definitions["topic_permissions"] if entry["user"] in names
        ],
    }


def _user(name: str, password: str, tags: Iterable[str] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def password_hash(password: str) -> str:
    """Hash a generated password as RabbitMQ does: base64(salt + SHA-256(salt + password)).

    The salt is derived from the password, so that the same secrets give the same file; that is
    safe only because the passwords are long and random.
    """
    salt = hashlib.sha256(b"salt" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class TopologyIncomplete(Exception):
    """The broker accepted the definitions and did not create all of them."""


def apply_definitions(
    management_url: str, wanted: Mapping[str, Any], deadline: float = 60.0
) -> None:
    """Import the definitions into a running broker and remove bindings they no longer contain.

    Raises TopologyIncomplete when a binding is still missing after `deadline` seconds.
    """
    bindings = {_binding(entry) for entry in wanted["bindings"]}
    with httpx.Client(base_url=management_url, timeout=30, trust_env=False) as api:
        for entry in _import(api, wanted, bindings, deadline):
            # Other queues belong to other systems, or exclusively to one process.
            tracked = entry["source"] and WORK_QUEUE.fullmatch(entry["destination"])
            if tracked and _binding(entry) not in bindings:
                route = f"e/{entry['source']}/q/{entry['destination']}"
                key = quote(entry["properties_key"], safe="")
                api.delete(f"/api/bindings/{VHOST}/{route}/{key}").raise_for_status()


def _import(
    api: httpx.Client, wanted: Mapping[str, Any], bindings: set[Binding], deadline: float
) -> list[dict[str, Any]]:
    """Import the definitions until the broker has every binding, and return all that it has.

    RabbitMQ reports success also when it could not start a queue, as on a busy machine where the
    first election of a quorum queue's leader takes more than five seconds. It then skips the queue
    and its bindings, and messages for them would be returned as unroutable.
    """
    give_up = time.monotonic() + deadline
    while True:
        api.post("/api/definitions", json=wanted).raise_for_status()
        found: list[dict[str, Any]] = api.get(f"/api/bindings/{VHOST}").raise_for_status().json()
        missing = bindings - {_binding(entry) for entry in found}
        if not missing:
            return found
        if time.monotonic() > give_up:
            names = ", ".join(f"{source} → {queue} ({key})" for source, queue, key in missing)
            raise TopologyIncomplete(f"the broker did not create these bindings: {names}.")
        time.sleep(PAUSE)


def _binding(entry: Mapping[str, Any]) -> Binding:
    return entry["source"], entry["destination"], entry["routing_key"]
