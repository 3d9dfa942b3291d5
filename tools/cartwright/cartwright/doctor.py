"""`cartwright doctor`: health checks of a running suite, each with the command that repairs it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import typer

from cartwright import output
from cartwright.admin_api import SERVICES, AdminApi, connect
from cartwright.output import Json
from cartwright.refusals import Refusal

Level = Literal["ok", "warning", "fault"]
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "fault": "[red]✗[/]"}
# Seconds, messages and seconds from which each counts as a finding.
OUTBOX_AGE_LIMIT = 60.0
QUEUE_LENGTH_LIMIT = 1000
CLOCK_SKEW_LIMIT = 5.0
MOST_SAGAS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `fix` is the command to type when its level is not `ok`."""

    where: str
    level: Level
    detail: str
    fix: str = ""


def doctor(*, json: Json = False) -> None:
    """Check the whole suite and print what to type; exit code 1 when there is a fault."""
    api = connect()
    found = [*_gateway(api), *_services(api), *_sagas(api)]
    if json:
        output.as_json([asdict(finding) for finding in found])
    else:
        _print(found)
    if any(finding.level == "fault" for finding in found):
        raise typer.Exit(1)


def _gateway(api: AdminApi) -> Iterator[Finding]:
    try:
        answer = api.http.get("/readyz")
        ready = answer.is_success
    except httpx.HTTPError as error:
        yield Finding("gateway", "fault", f"does not answer: {error}", "make up")
        return
    if ready:
        yield Finding("gateway", "ok", "accepts requests")
    else:
        yield Finding("gateway", "fault", "is not ready", "make logs S=gateway")


def _services(api: AdminApi) -> Iterator[Finding]:
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        for findings in pool.map(lambda name: list(_service(api, name)), SERVICES):
            yield from findings


def _service(api: AdminApi, name: str) -> Iterator[Finding]:
    try:
        report = api.get(f"/v1/admin/ops/{name}")
    except Refusal as refusal:
        yield Finding(name, "fault", str(refusal), f"make logs S={name}")
        return
    findings = list(diagnose(report, datetime.now(UTC)))
    yield from findings
    if not findings:
        yield Finding(name, "ok", "consumes and publishes, nothing left over")


def diagnose(report: dict[str, Any], now: datetime) -> Iterator[Finding]:
    """Yield the faults and warnings in a service's operations report."""
    yield from _schema(report, now)
    yield from _messages(report)
    for clock in ("time", "database_time"):
        skew = abs((datetime.fromisoformat(report[clock]) - now).total_seconds())
        if skew > CLOCK_SKEW_LIMIT:
            detail = f"its {clock.replace('_', ' ')} is {output.duration(skew)} off this machine's"
            yield Finding(report["service"], "warning", detail, "set the clocks by NTP")


def _schema(report: dict[str, Any], now: datetime) -> Iterator[Finding]:
    name, revision, newest = (report[key] for key in ("service", "revision", "newest_revision"))
    if revision != newest:
        detail = f"its schema is at {revision}, the code needs {newest}"
        yield Finding(name, "fault", detail, f"python -m {name} migrate")
    tomorrow = (now + timedelta(days=1)).date().isoformat()
    if (report["last_inbox_day"] or "") < tomorrow:
        detail = "its inbox has no partition for tomorrow: the worker's sweep does not run"
        yield Finding(name, "fault", detail, f"make restart S={name}")
    if report["keys_left_running"]:
        detail = f"{report['keys_left_running']} requests never ended; a repetition takes them over"
        yield Finding(name, "warning", detail, f"make logs S={name}")


def _messages(report: dict[str, Any]) -> Iterator[Finding]:
    name, outbox = report["service"], report["outbox"]
    queues = {queue["name"].removeprefix(f"svc.{name}"): queue for queue in report["queues"]}
    if not queues[""]["consumers"]:
        yield Finding(name, "fault", "its queue has no consumer", f"make restart S={name}")
    if queues[""]["ready"] > QUEUE_LENGTH_LIMIT:
        detail = f"{queues['']['ready']} messages are ready in its queue"
        yield Finding(name, "warning", detail, f"start another worker: python -m {name} worker")
    if outbox["parked"]:
        detail = f"{outbox['parked']} messages found no queue"
        yield Finding(name, "fault", detail, f"cartwright outbox status --service {name}")
    elif (outbox["oldest_seconds"] or 0) > OUTBOX_AGE_LIMIT:
        detail = f"messages have been unsent for {output.duration(outbox['oldest_seconds'])}"
        yield Finding(name, "fault", detail, f"cartwright outbox status --service {name}")
    dead = report["dead_letters"] + queues[".dead"]["ready"]
    if dead:
        fix = f"cartwright dead list --service {name}"
        yield Finding(name, "warning", f"{dead} dead letters", fix)


def _sagas(api: AdminApi) -> Iterator[Finding]:
    try:
        stuck = list(api.pages("/v1/admin/sagas", limit=MOST_SAGAS, stuck="true"))
    except Refusal as refusal:
        yield Finding("sagas", "fault", str(refusal), "make logs S=orders")
        return
    if stuck:
        count = f"{MOST_SAGAS} or more" if len(stuck) == MOST_SAGAS else str(len(stuck))
        yield Finding("sagas", "warning", f"{count} are stuck", "cartwright saga list --stuck")
    else:
        yield Finding("sagas", "ok", "none is stuck")


def _print(found: list[Finding]) -> None:
    table = output.table("", "where", "finding", "what to type")
    for finding in found:
        mark = output.styled(MARKS[finding.level])
        table.add_row(mark, finding.where, finding.detail, finding.fix)
    output.show(table)
    faults = sum(finding.level == "fault" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    output.show(f"{faults} faults, {warnings} warnings." if faults or warnings else "No faults.")
