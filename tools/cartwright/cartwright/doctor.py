"""The doctor: what should hold of a running suite, and what to type where it does not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import typer

from cartwright import output
from cartwright.output import Json
from cartwright.refusals import Refusal
from cartwright.shop import SERVICES, Shop, connected

Level = Literal["ok", "warning", "fault"]
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "fault": "[red]✗[/]"}
UNSENT_FOR = 60.0
LONG_QUEUE = 1000
CLOCKS_APART = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `do` is what to type when it is not as it should be."""

    where: str
    level: Level
    says: str
    do: str = ""


def doctor(*, json: Json = False) -> None:
    """Look at everything and say what to do; exit code 1 when there is a fault."""
    shop = connected()
    found = [*_gateway(shop), *_services(shop), *_sagas(shop)]
    if json:
        output.as_json([asdict(finding) for finding in found])
    else:
        _print(found)
    if any(finding.level == "fault" for finding in found):
        raise typer.Exit(1)


def _gateway(shop: Shop) -> Iterator[Finding]:
    try:
        answer = shop.http.get("/readyz")
        ready = answer.is_success
    except httpx.HTTPError as error:
        yield Finding("gateway", "fault", f"does not answer: {error}", "make up")
        return
    if ready:
        yield Finding("gateway", "ok", "takes requests")
    else:
        yield Finding("gateway", "fault", "is not ready", "make logs S=gateway")


def _services(shop: Shop) -> Iterator[Finding]:
    with ThreadPoolExecutor(len(SERVICES)) as crew:
        for findings in crew.map(lambda name: list(_service(shop, name)), SERVICES):
            yield from findings


def _service(shop: Shop, name: str) -> Iterator[Finding]:
    try:
        found = shop.get(f"/v1/admin/ops/{name}")
    except Refusal as refusal:
        yield Finding(name, "fault", str(refusal), f"make logs S={name}")
        return
    wrong = list(examined(found, datetime.now(UTC)))
    yield from wrong
    if not wrong:
        yield Finding(name, "ok", "consumes, sends and has nothing left over")


def examined(found: dict[str, Any], now: datetime) -> Iterator[Finding]:
    """What is wrong with a service, by how it says it stands."""
    yield from _schema(found, now)
    yield from _messages(found)
    for clock in ("time", "database_time"):
        apart = abs((datetime.fromisoformat(found[clock]) - now).total_seconds())
        if apart > CLOCKS_APART:
            says = f"its {clock.replace('_', ' ')} is {output.span(apart)} off this machine's"
            yield Finding(found["service"], "warning", says, "set the clocks by NTP")


def _schema(found: dict[str, Any], now: datetime) -> Iterator[Finding]:
    name = found["service"]
    if found["revision"] != found["newest_revision"]:
        says = f"its schema is at {found['revision']}, the code wants {found['newest_revision']}"
        yield Finding(name, "fault", says, f"python -m {name} migrate")
    tomorrow = (now + timedelta(days=1)).date().isoformat()
    if (found["last_inbox_day"] or "") < tomorrow:
        says = "its inbox has no room for tomorrow's messages: the worker's sweep stands still"
        yield Finding(name, "fault", says, f"make restart S={name}")
    if found["keys_left_running"]:
        says = f"{found['keys_left_running']} requests never ended; a repeat takes them over"
        yield Finding(name, "warning", says, f"make logs S={name}")


def _messages(found: dict[str, Any]) -> Iterator[Finding]:
    name, outbox = found["service"], found["outbox"]
    queues = {queue["name"].removeprefix(f"svc.{name}"): queue for queue in found["queues"]}
    if not queues[""]["consumers"]:
        yield Finding(name, "fault", "nobody takes its messages", f"make restart S={name}")
    if queues[""]["ready"] > LONG_QUEUE:
        says = f"{queues['']['ready']} messages wait for it"
        yield Finding(name, "warning", says, f"run more of it: python -m {name} worker")
    if outbox["parked"]:
        says = f"{outbox['parked']} messages found no queue"
        yield Finding(name, "fault", says, f"cartwright outbox status --service {name}")
    elif (outbox["oldest_seconds"] or 0) > UNSENT_FOR:
        says = f"messages wait unsent for {output.span(outbox['oldest_seconds'])}"
        yield Finding(name, "fault", says, f"cartwright outbox status --service {name}")
    dead = found["dead_letters"] + queues[".dead"]["ready"]
    if dead:
        do = f"cartwright dead list --service {name}"
        yield Finding(name, "warning", f"{dead} dead letters", do)


def _sagas(shop: Shop) -> Iterator[Finding]:
    try:
        stuck = list(shop.pages("/v1/admin/sagas", most=100, stuck="true"))
    except Refusal as refusal:
        yield Finding("sagas", "fault", str(refusal), "make logs S=orders")
        return
    if stuck:
        many = "100 or more" if len(stuck) == 100 else str(len(stuck))  # noqa: PLR2004
        yield Finding("sagas", "warning", f"{many} stand still", "cartwright saga list --stuck")
    else:
        yield Finding("sagas", "ok", "none stands still")


def _print(found: list[Finding]) -> None:
    table = output.table("", "where", "finding", "what to type")
    for finding in found:
        table.add_row(output.styled(MARKS[finding.level]), finding.where, finding.says, finding.do)
    output.say(table)
    faults = sum(finding.level == "fault" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    output.say(f"{faults} faults, {warnings} warnings." if faults or warnings else "All is well.")
