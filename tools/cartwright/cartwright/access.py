"""Access of other systems to the broker: a user each, its queues, and the right to read events.

Calls RabbitMQ's management API as an administrator. The user can declare nothing: a queue that it
declared could refuse messages (`reject-publish`) and so block every publisher of the shop.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from cartwright.refusals import Refusal

VHOST = "cartwright"
NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")
TIERS = 3
DOTS_OF_A_QUEUE = "ext.system.queue".count(".")
USER_LIMITS = {"max-connections": 20, "max-channels": 200}
# Practically unlimited: RabbitMQ 4 defaults to 20, and 3.10 has no value for "unlimited".
NO_LIMIT = 1_000_000_000
POLICY_PRIORITY = 10
QUORUM = {"x-queue-type": "quorum"}
# Without it a subscriber that reconnects receives later events while the broker still counts the
# earlier ones as delivered on its former connection.
ORDERED = "x-single-active-consumer"


@dataclass(frozen=True, slots=True)
class Granted:
    """The credentials of another system. `url` holds the password; it is shown once.

    unordered: its queues that were declared without a single active consumer.
    """

    system: str
    queue: str
    url: str = field(repr=False)
    unordered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's management API (`api`, with the administrator's login) and its AMQP address.

    amqp: `amqp://host:port` as the other system reaches it.
    """

    api: httpx.Client
    amqp: str
    vhost: str = VHOST

    def add(self, system: str, queues: list[str], max_length: int) -> Granted:
        """Create the user (or give it a new password) and its queues; events in queues stay.

        max_length: events that a queue holds before the oldest are dropped. Raises Refusal.
        """
        for name in (system, *queues):
            if not NAME.fullmatch(name):
                raise Refusal(f"{name}: a name is 2 to 30 of a-z, 0-9 and _, and begins with a-z.")
        password = secrets.token_urlsafe(24)
        user = user_of(system)
        self._put(f"users/{user}", {"password": password, "tags": ""})
        for limit, value in USER_LIMITS.items():
            self._put(f"user-limits/{user}/{limit}", {"value": value})
        self._put(f"permissions/{self._vhost}/{user}", permission(system))
        self._put(f"topic-permissions/{self._vhost}/{user}", TOPIC_PERMISSION)
        known = self._arguments(system)
        works = [f"ext.{system}.{queue}" for queue in queues]
        for work in works:
            self._queue(work, max_length, known)
        host = self.amqp.removeprefix("amqp://")
        url = f"amqp://{user}:{password}@{host}/{self.vhost}"
        unordered = (work for work in works if ORDERED not in known.get(work, {ORDERED: True}))
        return Granted(system, queues[0], url, tuple(unordered))

    def remove(self, system: str) -> list[str]:
        """Delete the user, its queues and exchanges; returns the queues. Raises Refusal."""
        own = self.queues(system)
        if self._call("DELETE", f"users/{user_of(system)}").status_code == httpx.codes.NOT_FOUND:
            raise Refusal(f"there is no subscriber {system}: `cartwright subscriber list`.")
        for name in own:
            self._delete(f"queues/{self._vhost}/{name}")
        for work in (name for name in own if name.count(".") == DOTS_OF_A_QUEUE):
            self._delete(f"exchanges/{self._vhost}/{work}.retry")
            self._delete(f"policies/{self._vhost}/{work}")
        return own

    def systems(self) -> list[str]:
        """The systems that have a broker user."""
        users = self._call("GET", "users").json()
        return sorted(
            user["name"].removeprefix("ext.") for user in users if user["name"].startswith("ext.")
        )

    def queues(self, system: str) -> list[str]:
        """The names of a system's queues, retries and dead letters included."""
        return sorted(self._arguments(system))

    def _arguments(self, system: str) -> dict[str, dict[str, Any]]:
        """The arguments with which each of a system's queues was declared, by its name."""
        found = self._call("GET", f"queues/{self._vhost}?columns=name,arguments").json()
        return {q["name"]: q["arguments"] for q in found if q["name"].startswith(f"ext.{system}.")}

    def waiting(self, system: str) -> dict[str, int]:
        """Events ready in each of a system's queues, as the broker last counted them."""
        found = self._call("GET", f"queues/{self._vhost}?columns=name,messages").json()
        counts = {queue["name"]: queue.get("messages", 0) for queue in found}
        return {name: counts[name] for name in self.queues(system)}

    @property
    def _vhost(self) -> str:
        return quote(self.vhost, safe="")

    def _queue(self, work: str, max_length: int, known: dict[str, dict[str, Any]]) -> None:
        """Declare a queue with its length limit, its retry tiers and its dead-letter queue.

        The arguments of a queue cannot change: an existing one is declared with those it has.
        """
        cap = {"max-length": max_length, "overflow": "drop-head", "delivery-limit": NO_LIMIT}
        policy = {"pattern": rf"^{re.escape(work)}(\..+)?$", "apply-to": "queues"}
        self._put(
            f"policies/{self._vhost}/{work}",
            {**policy, "priority": POLICY_PRIORITY, "definition": cap},
        )
        retry = f"{work}.retry"
        self._put(f"exchanges/{self._vhost}/{retry}", {"type": "direct", "durable": True})
        back = {"x-dead-letter-exchange": retry, "x-dead-letter-routing-key": "work"}
        family: list[tuple[str, str, dict[str, Any]]] = [
            (work, "work", {ORDERED: True}),
            (f"{work}.dead", "dead", {}),
        ]
        family += [(f"{work}.retry.{tier}", str(tier), back) for tier in range(1, TIERS + 1)]
        for name, key, arguments in family:
            declared = known.get(name, QUORUM | arguments)
            self._put(f"queues/{self._vhost}/{name}", {"durable": True, "arguments": declared})
            self._call("POST", f"bindings/{self._vhost}/e/{retry}/q/{name}", {"routing_key": key})
        # Snapshots that it requests are routed by the name of its queue.
        snapshots = f"bindings/{self._vhost}/e/snapshots/q/{work}"
        self._call("POST", snapshots, {"routing_key": work})

    def _put(self, path: str, body: dict[str, Any]) -> None:
        self._call("PUT", path, body)

    def _delete(self, path: str) -> None:
        self._call("DELETE", path)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self.api.request(method, f"/api/{path}", json=body)
        except httpx.HTTPError as error:
            raise Refusal(f"the broker's management API does not answer: {error}") from None
        missing = method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND
        if answer.is_error and not missing:
            raise Refusal(f"the broker refused {method} {path}: {answer.text.strip()}")
        return answer


def user_of(system: str) -> str:
    """The broker user of a system; the prefix separates it from the users of services."""
    return f"ext.{system}"


def permission(system: str) -> dict[str, str]:
    """Read events, the log and its own queues; write its own (bind, retry); declare nothing."""
    own = rf"ext\.{re.escape(system)}\..+"
    return {"configure": "^$", "write": f"^{own}$", "read": rf"^({own}|events|events\.log)$"}


# An empty pattern would mean "everything"; this one matches nothing.
TOPIC_PERMISSION = {"exchange": "events", "write": "^$", "read": ".*"}


@contextmanager
def broker(management_url: str, amqp: str = "") -> Iterator[Broker]:
    """Connect to `http://USER:PASSWORD@HOST:PORT`; AMQP is on that host's 5672 by default."""
    parts = urlsplit(management_url)
    if not parts.hostname or not parts.username:
        raise Refusal("the management address has the form http://USER:PASSWORD@HOST:15672.")
    with httpx.Client(base_url=management_url, timeout=30, trust_env=False) as api:
        yield Broker(api, amqp or f"amqp://{parts.hostname}:5672")
