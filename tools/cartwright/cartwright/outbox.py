"""Outboxes: what services committed and have not sent yet."""

from typing import Any

import typer

from cartwright import output
from cartwright.dead import OneService, Service, chosen_of, known
from cartwright.output import Json, Reason
from cartwright.shop import connected

app = typer.Typer(help="What services committed and have not sent yet.")


@app.command()
def status(service: Service = None, *, json: Json = False) -> None:
    """Show what waits in each outbox, by routing key, and what found no queue."""
    shop = connected()
    found = {name: shop.get(f"/v1/admin/ops/{name}/outbox") for name in chosen_of(service)}
    if json:
        output.as_json(found)
        return
    _print(found)


@app.command()
def retry(service: OneService, reason: Reason, *, json: Json = False) -> None:
    """Try the messages that found no queue again at once, not only after a minute."""
    shop = connected()
    found = shop.post(f"/v1/admin/ops/{known(service)}/outbox/retry", {"reason": reason})
    if json:
        output.as_json(found)
        return
    output.say(f"{found['unparked']} messages are tried again.")


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
    output.say(table)
    parked = [name for name, outbox in found.items() if outbox["parked"]]
    if parked:
        output.say(
            "Parked messages found no queue: `make topology`, bring it to the broker, then "
            f"`cartwright outbox retry --service {parked[0]}`."
        )
