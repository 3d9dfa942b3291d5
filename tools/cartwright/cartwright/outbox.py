"""Outboxes: messages that services committed and have not published yet."""

from typing import Any

import typer

from cartwright import output
from cartwright.admin_api import connect
from cartwright.dead_letters import OneService, Service, checked_service, services_of
from cartwright.output import Json, Reason

app = typer.Typer(help="Show and retry messages that are committed and not yet published.")


@app.command()
def status(service: Service = None, *, json: Json = False) -> None:
    """Show what each outbox holds by routing key, and which messages are parked."""
    api = connect()
    found = {name: api.get(f"/v1/admin/ops/{name}/outbox") for name in services_of(service)}
    if json:
        output.as_json(found)
        return
    _print(found)


@app.command()
def retry(service: OneService, reason: Reason, *, json: Json = False) -> None:
    """Retry parked messages now; the relay itself retries them every minute."""
    api = connect()
    found = api.post(f"/v1/admin/ops/{checked_service(service)}/outbox/retry", {"reason": reason})
    if json:
        output.as_json(found)
        return
    output.show(f"The relay retries {found['unparked']} messages.")


def _print(found: dict[str, Any]) -> None:
    table = output.table("service", ">waiting", ">parked", "oldest", "routing key", "last error")
    for name, outbox in found.items():
        if not outbox["keys"]:
            table.add_row(name, "0", "0", "–", "–", "–")
        for key in outbox["keys"]:
            table.add_row(
                name,
                str(key["waiting"]),
                output.styled(f"[red]{key['parked']}[/]") if key["parked"] else "0",
                output.ago(key["oldest_at"]),
                key["routing_key"],
                key["last_error"] or "–",
            )
    output.show(table)
    parked = [name for name, outbox in found.items() if outbox["parked"]]
    if parked:
        output.show(
            "No queue is bound for parked messages: run `make topology`, load it into the broker, "
            f"then `cartwright outbox retry --service {parked[0]}`."
        )
