"""Dead letters: what each service gave up and why; hand it in again, or discard it."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.output import Json, Reason, Yes
from cartwright.refusals import Refusal
from cartwright.shop import SERVICES, Away, Shop, connected

app = typer.Typer(help="What each service gave up and why; hand it in again, or discard it.")

Service = Annotated[str | None, typer.Option("--service", "-s", help="Only this service.")]
OneService = Annotated[str, typer.Option("--service", "-s", help="The service it died in.")]
Error = Annotated[str | None, typer.Option(help="Only those that died of this error.")]
Type = Annotated[str | None, typer.Option(help="Only messages of this type.")]
Subject = Annotated[str | None, typer.Option(help="Only about this aggregate, such as an order.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="This letter; may be repeated.")]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters of the service.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
AT_ONCE = 100


@app.command(name="list")
def list_dead_letters(
    service: Service = None,
    error: Error = None,
    type: Type = None,  # noqa: A002
    subject: Subject = None,
    *,
    letters: Annotated[bool, typer.Option("--letters", help="Each letter, not groups.")] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List dead letters, grouped by the error they died of; a filter lists the letters."""
    shop = connected()
    chosen = fetched(shop, chosen_of(service))
    if letters or error or type or subject:
        query = {"error": error, "type": type, "subject": subject}
        found = [row for name in chosen for row in _letters(shop, name, limit, query)]
        output.as_json(found) if json else _print_letters(found)
        return
    groups = [
        {"service": name, **group}
        for name in chosen
        for group in shop.get(f"{path_of(name)}/groups")["groups"]
    ]
    output.as_json(groups) if json else _print_groups(groups)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="The id of the letter or of its message.")],
    service: Service = None,
    *,
    json: Json = False,
) -> None:
    """Show one dead letter with its headers and body; secrets are hidden."""
    shop = connected()
    found = _find(shop, letter, fetched(shop, chosen_of(service)))
    if json:
        output.as_json(found)
        return
    table = output.table("", "")
    table.show_header = False
    for name, value in found.items():
        if name not in ("headers", "body"):
            table.add_row(name, "–" if value is None else str(value))
    output.say(table)
    output.say(output.styled("[bold]headers[/]"))
    output.console.print_json(data=found["headers"])
    output.say(output.styled("[bold]body[/]"))
    if isinstance(found["body"], str):
        output.say(found["body"])
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
        bool, typer.Option("--force", help="Also those older than the inbox: effects may double.")
    ] = False,
    limit: Limit = 1_000_000,
    rate: Annotated[float, typer.Option(min=0.1, help="At most so many a second.")] = 50.0,
    json: Json = False,
) -> None:
    """Hand dead letters in again: to their one queue alone, with the ids they had."""
    shop = connected()
    wanted = _wanted(ids, error, type, subject, everything=everything)
    path = f"{path_of(*fetched(shop, chosen_of(service)))}/redrive"
    body = {**wanted, "reason": reason, "force": force}
    done, last = 0, {"remaining": 0, "too_old": 0, "unreadable": 0}
    with output.progress() as bar:
        task = bar.add_task(f"redriving in {service}", total=None)
        while done < limit:
            began = time.monotonic()
            last = shop.post(path, {**body, "limit": _batch(rate, limit - done)})
            if not last["redriven"]:
                break
            done += last["redriven"]
            left = last["remaining"] - last["unreadable"] - (0 if force else last["too_old"])
            bar.update(task, completed=done, total=done + max(left, 0))
            if left <= 0:
                break
            # Paced by what was handed in, so that a big batch waits longer.
            time.sleep(max(0.0, last["redriven"] / rate - (time.monotonic() - began)))
    found = {**last, "redriven": done}
    if json:
        output.as_json(found)
        return
    output.say(f"{done} handed in again; {found['remaining']} left.")
    if found["too_old"] and not force:
        output.say(
            f"{found['too_old']} of those are older than the inbox, so nobody can tell whether "
            "they had their effect: --force hands them in all the same."
        )
    if found["unreadable"]:
        output.say(f"{found['unreadable']} have no readable envelope: they can only be discarded.")


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
    """Give dead letters up for good; the audit trail keeps what they were."""
    wanted = _wanted(ids, error, type, subject, everything=everything)
    output.confirmed(f"Discard these dead letters of {service} for good?", yes=yes)
    shop, done = connected(), 0
    path = f"{path_of(*fetched(shop, chosen_of(service)))}/discard"
    while done < limit:
        body = {**wanted, "reason": reason, "limit": min(AT_ONCE, limit - done)}
        count = shop.post(path, body)["discarded"]
        done += count
        if not count:
            break
    if json:
        output.as_json({"discarded": done})
    else:
        output.say(f"{done} discarded.")


def path_of(service: str) -> str:
    """Where the dead letters of a service are."""
    return f"/v1/admin/ops/{service}/dead-letters"


def known(service: str) -> str:
    """The name of a service; raises Refusal for any other."""
    if service not in SERVICES:
        raise Refusal(f"there is no service {service}: {', '.join(SERVICES)}.")
    return service


def chosen_of(service: str | None) -> tuple[str, ...]:
    """One service, or all of them."""
    return SERVICES if service is None else (known(service),)


def fetched(shop: Shop, services: tuple[str, ...]) -> tuple[str, ...]:
    """The same services, once their dead-letter queues are in the tables that are searched."""
    for name in services:
        with output.progress() as bar:
            task, done = bar.add_task(f"fetching from {name}", total=None, visible=False), 0
            while True:
                part = shop.post(f"{path_of(name)}/fetch", {})
                done += part["fetched"]
                total = done + part["in_queue"]
                bar.update(task, completed=done, total=total, visible=part["in_queue"] > 0)
                if not part["fetched"] or not part["in_queue"]:
                    break
    return services


def _batch(rate: float, left: int) -> int:
    return max(1, min(AT_ONCE, int(rate), left))


def _wanted(
    ids: list[str] | None,
    error: str | None,
    type: str | None,  # noqa: A002
    subject: str | None,
    *,
    everything: bool,
) -> dict[str, Any]:
    if not everything and not (ids or error or type or subject):
        raise Refusal("say which: --error, --type, --subject, --id or --all.")
    named = {"ids": ids or None, "error": error, "type": type, "subject": subject}
    return {**named, "everything": everything}


def _letters(
    shop: Shop, service: str, most: int, query: dict[str, str | None]
) -> Iterator[dict[str, Any]]:
    for row in shop.pages(path_of(service), most=most, **query):
        yield {"service": service, **row}


def _find(shop: Shop, letter: str, services: tuple[str, ...]) -> dict[str, Any]:
    for name in services:
        try:
            return {"service": name, **shop.get(f"{path_of(name)}/{letter}")}
        except Away:
            raise
        except Refusal as refusal:
            if "dead_letter_unknown" not in str(refusal):
                raise
    raise Refusal(f"there is no dead letter {letter}: `cartwright dead list --letters`.")


def _print_groups(groups: list[dict[str, Any]]) -> None:
    if not groups:
        output.say("No dead letters.")
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
    output.say(table)
    output.say("`cartwright dead list --error ERROR` lists the letters of a group.")


def _print_letters(letters: list[dict[str, Any]]) -> None:
    if not letters:
        output.say("No dead letters.")
        return
    table = output.table("service", "letter", "type", "subject", "error", ">tries", "last")
    for letter in letters:
        table.add_row(
            letter["service"],
            letter["id"],
            short_type(letter["type"]),
            letter["subject"],
            letter["error"],
            str(letter["attempts"]),
            output.ago(letter["last_failed_at"]),
        )
    output.say(table)


def short_type(name: str) -> str:
    """`orders.OrderPlaced.v1` for `cartwright.orders.OrderPlaced.v1`."""
    return name.removeprefix("cartwright.")
