"""`cartwright reconcile`: compare the records of all services, propose repairs, apply them."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.admin_api import SERVICES, AdminApi, connect
from cartwright.output import Json, Yes
from cartwright.reconciliation import Discrepancy, Records, placed_at
from cartwright.refusals import Refusal

PATH = "/v1/admin/ops/{}/reconciliation"


def reconcile(
    since: Annotated[
        str, typer.Option(help="Compare orders placed since: 7d, 12h or a date.")
    ] = "7d",
    settled: Annotated[
        float, typer.Option(min=0, help="Skip what changed within this number of seconds.")
    ] = 60.0,
    ids: Annotated[
        list[str] | None, typer.Option("--only", help="Only this finding; may be repeated.")
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the proposed repairs.")] = False,
    reason: Annotated[str, typer.Option(help="The reason, for the audit trail.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Compare orders, payments, holds, outboxes and the provider's ledger; exit code 1 on findings.

    Finds payments without an order, orders without a payment, holds without an order, captured
    amounts that differ, unsent messages, and differences from the provider. Proposes a repair for
    each; `--apply` applies them.
    """
    api = connect()
    records = read(api, output.parse_time(since))
    found = records.discrepancies(datetime.now(UTC) - timedelta(seconds=settled), settled)
    if ids:
        found = [finding for finding in found if finding.id in ids]
    if not apply:
        _report(found, json=json)
        raise typer.Exit(1 if found else 0)
    repairable = [finding for finding in found if finding.step is not None]
    if repairable:
        output.confirm(f"Apply the repairs of {len(repairable)} findings?", yes=yes)
    results = {finding.id: _apply(api, finding, reason) for finding in repairable}
    _report(found, results, json=json)
    done = len(repairable) == len(found) and all(result == "done" for result in results.values())
    raise typer.Exit(0 if done else 1)


def read(api: AdminApi, since: datetime) -> Records:
    """Read all records since a time; orders come last, so that every payment finds its order."""
    records, start = Records(), since.isoformat()
    with output.progress() as bar:
        task = bar.add_task("reading the provider's ledger", total=None)
        after: int | None = 0
        while after is not None:
            page = api.get(PATH.format("payments") + "/provider", after=after)
            after = page["next_after"]
            for line in page["items"]:
                records.provider[line["reference"]] += line["amount"]
                records.provider_at[line["reference"]] = line["created_at"]
            bar.advance(task, len(page["items"]))
        bar.update(task, description="reading payments")
        for payment in api.pages(PATH.format("payments"), since=start):
            records.payments[payment["order_id"]].append(payment)
            bar.advance(task)
        bar.update(task, description="reading holds")
        for hold in api.pages(PATH.format("inventory"), since=start):
            records.holds[hold["order_id"]] = hold
            bar.advance(task)
        bar.update(task, description="reading orders")
        for order in api.pages(PATH.format("orders"), since=start):
            records.orders[order["order_id"]] = order
            bar.advance(task)
        bar.update(task, description="reading outboxes")
        for name in SERVICES:
            records.outboxes[name] = api.get(f"/v1/admin/ops/{name}/outbox")
    _drop_older(records, since)
    return records


def _drop_older(records: Records, since: datetime) -> None:
    """Drop orders placed before from the provider's ledger, which is read as a whole."""
    for name in list(records.provider):
        placed = placed_at(name)
        if placed is not None and placed < since:
            del records.provider[name]


def _apply(api: AdminApi, finding: Discrepancy, reason: str) -> str:
    """Apply the proposed repair; returns `done` or the refusal."""
    assert finding.step is not None  # noqa: S101
    why = reason or f"reconciliation: {finding.detail}"
    try:
        api.post(finding.step.path, {**finding.step.body, "reason": why[:500]})
    except Refusal as refusal:
        return str(refusal)
    return "done"


def _report(found: list[Discrepancy], results: dict[str, str] | None = None, *, json: bool) -> None:
    results = results or {}
    if json:
        rows: list[dict[str, Any]] = [
            {"id": each.id, **asdict(each), "result": results.get(each.id)} for each in found
        ]
        output.as_json(rows)
        return
    if not found:
        output.show("The records agree.")
        return
    table = output.table("finding", "subject", "detail", "repair", *(["result"] if results else []))
    table.columns[0].no_wrap = True
    for each in found:
        repair = each.step.title if each.step else f"by staff: {each.advice}"
        row = [each.kind, each.subject, each.detail, repair]
        if results:
            row.append(results.get(each.id, "left to staff"))
        table.add_row(*row)
    output.show(table)
    if not results:
        output.show("`cartwright reconcile --apply` applies all repairs,")
        output.show(f"with `--only {found[0].id}` the first alone.")
