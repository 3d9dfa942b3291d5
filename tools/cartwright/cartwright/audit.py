"""The audit trail: who did what, when and why."""

from typing import Annotated

import typer

from cartwright import output
from cartwright.dead import Limit, Service, chosen_of
from cartwright.output import Json
from cartwright.shop import connected


def audit(
    service: Service = None,
    target: Annotated[
        str | None, typer.Option(help="Only what was done to this, such as an order's id.")
    ] = None,
    limit: Limit = 50,
    *,
    json: Json = False,
) -> None:
    """Show who did what, when and why, the latest first."""
    shop = connected()
    found = [
        {"service": name, **entry}
        for name in chosen_of(service)
        for entry in shop.pages(f"/v1/admin/ops/{name}/audit", most=limit, target=target)
    ]
    found = sorted(found, key=lambda entry: entry["at"], reverse=True)[:limit]
    if json:
        output.as_json(found)
        return
    table = output.table("time (UTC)", "service", "who", "did", "to", "why")
    for entry in found:
        table.add_row(
            output.instant(entry["at"]),
            entry["service"],
            entry["actor"],
            entry["action"],
            entry["target"],
            entry["reason"],
        )
    output.say(table if found else "Nobody did anything.")
