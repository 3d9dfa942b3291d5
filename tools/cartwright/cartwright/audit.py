"""The audit trail: who did what, when and why."""

from typing import Annotated

import typer

from cartwright import output
from cartwright.admin_api import connect
from cartwright.dead_letters import Limit, Service, services_of
from cartwright.output import Json


def audit(
    service: Service = None,
    target: Annotated[
        str | None, typer.Option(help="Only entries about this target, such as an order's id.")
    ] = None,
    limit: Limit = 50,
    *,
    json: Json = False,
) -> None:
    """Show who did what, when and why, newest first."""
    api = connect()
    found = [
        {"service": name, **entry}
        for name in services_of(service)
        for entry in api.pages(f"/v1/admin/ops/{name}/audit", limit=limit, target=target)
    ]
    found = sorted(found, key=lambda entry: entry["at"], reverse=True)[:limit]
    if json:
        output.as_json(found)
        return
    table = output.table("time (UTC)", "service", "who", "did", "to", "why")
    for entry in found:
        table.add_row(
            output.timestamp(entry["at"]),
            entry["service"],
            entry["actor"],
            entry["action"],
            entry["target"],
            entry["reason"],
        )
    output.show(table if found else "The audit trail has no such entry.")
