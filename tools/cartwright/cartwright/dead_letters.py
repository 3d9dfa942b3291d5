"""Dead letters: messages that a service could not handle; list, redrive or discard them."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.admin_api import SERVICES, AdminApi, Unavailable, connect
from cartwright.output import Json, Reason, Yes
from cartwright.refusals import Refusal

app = typer.Typer(help="List, redrive or discard messages that a service could not handle.")

Service = Annotated[str | None, typer.Option("--service", "-s", help="Only this service.")]
OneService = Annotated[str, typer.Option("--service", "-s", help="The service.")]
Error = Annotated[str | None, typer.Option(help="Only those that failed with this error.")]
Type = Annotated[str | None, typer.Option(help="Only messages of this type.")]
Subject = Annotated[str | None, typer.Option(help="Only about this aggregate, such as an order.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="This dead letter; may be repeated.")]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters of the service.")]
Limit = Annotated[int, typer.Option(min=1, help="At most this number.")]
BATCH_SIZE = 100


@app.command(name="list")
def list_dead_letters(
    service: Service = None,
    error: Error = None,
    type: Type = None,  # noqa: A002
    subject: Subject = None,
    *,
    letters: Annotated[bool, typer.Option("--letters", help="List messages, not groups.")] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List dead letters, grouped by the error they failed with; a filter lists each."""
    api = connect()
    services = fetch_all(api, services_of(service))
    if letters or error or type or subject:
        query = {"error": error, "type": type, "subject": subject}
        found = [row for name in services for row in _filtered(api, name, limit, query)]
        output.as_json(found) if json else _print_dead_letters(found)
        return
    groups = [
        {"service": name, **group}
        for name in services
        for group in api.get(f"{path_of(name)}/groups")["groups"]
    ]
    output.as_json(groups) if json else _print_groups(groups)


@app.command()
def show(
    dead_letter: Annotated[str, typer.Argument(help="The id of the dead letter or its message.")],
    service: Service = None,
    *,
    json: Json = False,
) -> None:
    """Show one dead letter with its headers and body; secrets are masked."""
    api = connect()
    found = _find(api, dead_letter, fetch_all(api, services_of(service)))
    if json:
        output.as_json(found)
        return
    table = output.table("", "")
    table.show_header = False
    for name, value in found.items():
        if name not in ("headers", "body"):
            table.add_row(name, "–" if value is None else str(value))
    output.show(table)
    output.show(output.styled("[bold]headers[/]"))
    output.console.print_json(data=found["headers"])
    output.show(output.styled("[bold]body[/]"))
    if isinstance(found["body"], str):
        output.show(found["body"])
    else:
        output.console.print_json(data=found["body"])


@app.command()
def redrive(
    service: OneService,
    reason: Reason,
    error: Error = None,
    type: Type = None,  # noqa: A002
    subject: Subject = None,
    ids: Ids = None,
    *,
    everything: Everything = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also those older than the inbox: may apply them twice.")
    ] = False,
    limit: Limit = 1_000_000,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages per second, at most.")] = 50.0,
    json: Json = False,
) -> None:
    """Republish dead letters to the queue they came from, with their ids unchanged."""
    api = connect()
    selection = _selection(ids, error, type, subject, everything=everything)
    path = f"{path_of(*fetch_all(api, services_of(service)))}/redrive"
    body = {**selection, "reason": reason, "force": force}
    done, last = 0, {"remaining": 0, "too_old": 0, "unreadable": 0}
    with output.progress() as bar:
        task = bar.add_task(f"redriving in {service}", total=None)
        while done < limit:
            began = time.monotonic()
            last = api.post(path, {**body, "limit": _batch(rate, limit - done)})
            if not last["redriven"]:
                break
            done += last["redriven"]
            left = last["remaining"] - last["unreadable"] - (0 if force else last["too_old"])
            bar.update(task, completed=done, total=done + max(left, 0))
            if left <= 0:
                break
            # The pause follows the number republished, so that a large batch waits longer.
            time.sleep(max(0.0, last["redriven"] / rate - (time.monotonic() - began)))
    found = {**last, "redriven": done}
    if json:
        output.as_json(found)
        return
    output.show(f"{done} republished; {found['remaining']} remain.")
    if found["too_old"] and not force:
        output.show(
            f"{found['too_old']} of those are older than the inbox, which can no longer detect "
            "that they were handled: --force republishes them, and may apply them twice."
        )
    if found["unreadable"]:
        output.show(f"{found['unreadable']} have no readable envelope: discard them.")


@app.command()
def discard(
    service: OneService,
    reason: Reason,
    error: Error = None,
    type: Type = None,  # noqa: A002
    subject: Subject = None,
    ids: Ids = None,
    *,
    everything: Everything = False,
    limit: Limit = 1_000_000,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete dead letters permanently; the audit trail stores their content."""
    selection = _selection(ids, error, type, subject, everything=everything)
    output.confirm(f"Discard these dead letters of {service} permanently?", yes=yes)
    api, done = connect(), 0
    path = f"{path_of(*fetch_all(api, services_of(service)))}/discard"
    while done < limit:
        body = {**selection, "reason": reason, "limit": min(BATCH_SIZE, limit - done)}
        count = api.post(path, body)["discarded"]
        done += count
        if not count:
            break
    if json:
        output.as_json({"discarded": done})
    else:
        output.show(f"{done} discarded.")


def path_of(service: str) -> str:
    """The path of a service's dead letters."""
    return f"/v1/admin/ops/{service}/dead-letters"


def checked_service(service: str) -> str:
    """Return the name of a service; raises Refusal for any other text."""
    if service not in SERVICES:
        raise Refusal(f"there is no service {service}: {', '.join(SERVICES)}.")
    return service


def services_of(service: str | None) -> tuple[str, ...]:
    """One service, or all of them."""
    return SERVICES if service is None else (checked_service(service),)


def fetch_all(api: AdminApi, services: tuple[str, ...]) -> tuple[str, ...]:
    """Return the services after each has moved its dead-letter queue into its table."""
    for name in services:
        with output.progress() as bar:
            task, done = bar.add_task(f"fetching from {name}", total=None, visible=False), 0
            while True:
                part = api.post(f"{path_of(name)}/fetch", {})
                done += part["fetched"]
                total = done + part["in_queue"]
                bar.update(task, completed=done, total=total, visible=part["in_queue"] > 0)
                if not part["fetched"] or not part["in_queue"]:
                    break
    return services


def _batch(rate: float, left: int) -> int:
    return max(1, min(BATCH_SIZE, int(rate), left))


def _selection(
    ids: list[str] | None,
    error: str | None,
    type: str | None,  # noqa: A002
    subject: str | None,
    *,
    everything: bool,
) -> dict[str, Any]:
    if not everything and not (ids or error or type or subject):
        raise Refusal("select dead letters by --error, --type, --subject, --id or --all.")
    filters = {"ids": ids or None, "error": error, "type": type, "subject": subject}
    return {**filters, "everything": everything}


def _filtered(
    api: AdminApi, service: str, most: int, query: dict[str, str | None]
) -> Iterator[dict[str, Any]]:
    for row in api.pages(path_of(service), limit=most, **query):
        yield {"service": service, **row}


def _find(api: AdminApi, dead_letter: str, services: tuple[str, ...]) -> dict[str, Any]:
    for name in services:
        try:
            return {"service": name, **api.get(f"{path_of(name)}/{dead_letter}")}
        except Unavailable:
            raise
        except Refusal as refusal:
            if "dead_letter_unknown" not in str(refusal):
                raise
    raise Refusal(f"there is no dead letter {dead_letter}: `cartwright dead list --letters`.")


def _print_groups(groups: list[dict[str, Any]]) -> None:
    if not groups:
        output.show("No dead letters.")
        return
    table = output.table("service", ">count", "error", "type", "last", "example")
    for group in groups:
        table.add_row(
            group["service"],
            str(group["count"]),
            group["error"],
            short_type(group["type"]),
            output.ago(group["last_failed_at"]),
            group["example"][:200],
        )
    output.show(table)
    output.show("`cartwright dead list --error ERROR` lists the dead letters of a group.")


def _print_dead_letters(rows: list[dict[str, Any]]) -> None:
    if not rows:
        output.show("No dead letters.")
        return
    table = output.table("service", "id", "type", "subject", "error", ">tries", "last")
    for row in rows:
        table.add_row(
            row["service"],
            row["id"],
            short_type(row["type"]),
            row["subject"],
            row["error"],
            str(row["attempts"]),
            output.ago(row["last_failed_at"]),
        )
    output.show(table)


def short_type(name: str) -> str:
    """`orders.OrderPlaced.v1` for `cartwright.orders.OrderPlaced.v1`."""
    return name.removeprefix("cartwright.")
