"""Publishing under another user's name, which the broker allows impersonators alone."""

import json

import httpx

from suite.instance import Instance
from testkit.harness import PLAIN


async def allow_any_name(instance: Instance) -> None:
    """Let the admin send under any name; without it the broker refuses."""
    management = instance.environment.broker.management_url
    async with httpx.AsyncClient(base_url=management, verify=PLAIN) as broker:
        user = (await broker.get("/api/users/admin")).json()
        tags = {"administrator", "impersonator"}
        wanted = {"password_hash": user["password_hash"], "tags": ",".join(sorted(tags))}
        wanted["hashing_algorithm"] = user["hashing_algorithm"]
        answer = await broker.put("/api/users/admin", content=json.dumps(wanted))
        assert answer.is_success, answer.text
