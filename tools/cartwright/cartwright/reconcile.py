"""Reconcile: read the books of all services, find where they contradict, propose, apply."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.books import Books, Finding, made_at
from cartwright.output import Json, Yes
from cartwright.refusals import Refusal
from cartwright.shop import SERVICES, Shop, connected

PATH = "/v1/admin/ops/{}/reconciliation"


def reconcile(
    since: Annotated[
        str, typer.Option(help="Orders placed from then on: 7d, 12h or a date.")
    ] = "7d",
    settled: Annotated[
        float, typer.Option(min=0, help="Leave alone what changed in the last so many seconds.")
    ] = 60.0,
    ids: Annotated[
        list[str] | None, typer.Option("--only", help="Only this finding; may be repeated.")
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do what is proposed.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit trail.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Compare orders, payments, holds, outboxes and the provider's ledger; exit code 1 on findings.

    Finds what was paid without an order, ordered without payment, held without an order, captured
    otherwise than due, never sent, or is otherwise at the provider. Proposes; `--apply` does it.
    """
    shop = connected()
    moment = output.moment(since)
    books = read(shop, moment)
    found = books.compare(datetime.now(UTC) - timedelta(seconds=settled), settled)
    if ids:
        found = [finding for finding in found if finding.id in ids]
    if not apply:
        _report(found, json=json)
        raise typer.Exit(1 if found else 0)
    doable = [finding for finding in found if finding.step is not None]
    if doable:
        output.confirmed(f"Do what is proposed for {len(doable)} findings?", yes=yes)
    results = {finding.id: _apply(shop, finding, reason) for finding in doable}
    _report(found, results, json=json)
    done = len(doable) == len(found) and all(result == "done" for result in results.values())
    raise typer.Exit(0 if done else 1)


def read(shop: Shop, since: datetime) -> Books:
    """Read all books from a moment on; orders come last, so that whatever was paid has its own."""
    books, start = Books(), since.isoformat()
    with output.progress() as bar:
        task = bar.add_task("reading the provider's ledger", total=None)
        after: int | None = 0
        while after is not None:
            page = shop.get(PATH.format("payments") + "/provider", after=after)
            after = page["next_after"]
            for line in page["items"]:
                books.provider[line["reference"]] += line["amount"]
                books.provider_at[line["reference"]] = line["created_at"]
            bar.advance(task, len(page["items"]))
        bar.update(task, description="reading payments")
        for payment in shop.pages(PATH.format("payments"), since=start):
            books.payments[payment["order_id"]].append(payment)
            bar.advance(task)
        bar.update(task, description="reading holds")
        for hold in shop.pages(PATH.format("inventory"), since=start):
            books.holds[hold["order_id"]] = hold
            bar.advance(task)
        bar.update(task, description="reading orders")
        for order in shop.pages(PATH.format("orders"), since=start):
            books.orders[order["order_id"]] = order
            bar.advance(task)
        bar.update(task, description="reading outboxes")
        for name in SERVICES:
            books.outboxes[name] = shop.get(f"/v1/admin/ops/{name}/outbox")
    _leave_out_older(books, since)
    return books


def _leave_out_older(books: Books, since: datetime) -> None:
    """Of the provider's ledger, keep the orders placed since then: it is read as a whole."""
    for name in list(books.provider):
        placed = made_at(name)
        if placed is not None and placed < since:
            del books.provider[name]


def _apply(shop: Shop, finding: Finding, reason: str) -> str:
    """Do what is proposed; returns `done` or why not."""
    assert finding.step is not None  # noqa: S101
    why = reason or f"reconciliation: {finding.says}"
    try:
        shop.post(finding.step.path, {**finding.step.body, "reason": why[:500]})
    except Refusal as refusal:
        return str(refusal)
    return "done"


def _report(found: list[Finding], results: dict[str, str] | None = None, *, json: bool) -> None:
    results = results or {}
    if json:
        rows: list[dict[str, Any]] = [
            {"id": each.id, **asdict(each), "result": results.get(each.id)} for each in found
        ]
        output.as_json(rows)
        return
    if not found:
        output.say("The books agree.")
        return
    table = output.table("finding", "about", "says", "proposed", *(["result"] if results else []))
    table.columns[0].no_wrap = True
    for each in found:
        proposed = each.step.words if each.step else f"for people: {each.advice}"
        row = [each.kind, each.subject, each.says, proposed]
        if results:
            row.append(results.get(each.id, "left to people"))
        table.add_row(*row)
    output.say(table)
    if not results:
        output.say("`cartwright reconcile --apply` does all that is proposed;")
        output.say(f"`--only {found[0].id}` the first of them alone.")
