"""Sagas: where each order's process stands and why, and what to do when one stands still."""

from typing import Annotated, Any
from uuid import UUID

import typer

from cartwright import output
from cartwright.output import Json, Reason, Yes
from cartwright.refusals import Refusal
from cartwright.shop import Shop, connected

app = typer.Typer(help="Where each order's process stands and why; mend what stands still.")

Order = Annotated[str, typer.Argument(help="The order's number, such as 2026-000001, or its id.")]
PATH = "/v1/admin/sagas"
WIDE = 112


@app.command()
def show(order: Order, *, json: Json = False) -> None:
    """Show a saga's timeline: each step with its wait, attempt, message and trace."""
    shop = connected()
    found = shop.get(f"{PATH}/{id_of(shop, order)}")
    if json:
        output.as_json(found)
        return
    _print(found)


@app.command(name="list")
def list_sagas(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those that repeat, stand still or wait for staff.")
    ] = False,
    stage: Annotated[str | None, typer.Option(help="Only those in a stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List sagas, the newest first."""
    query = {"stage": stage, "stuck": "true" if stuck else None}
    found = list(connected().pages(PATH, most=limit, **query))
    if json:
        output.as_json(found)
        return
    table = output.table("order", "status", "stage", ">tries", "deadline", "changed")
    for saga in found:
        table.add_row(
            saga["order_number"],
            saga["status"],
            saga["stage"],
            str(saga["repeats"] + 1),
            output.ago(saga["deadline_at"]),
            output.ago(saga["updated_at"]),
        )
    output.say(table if found else "No saga stands still." if stuck else "No saga.")
    if stuck and found:
        output.say("`cartwright saga show ORDER` tells why; `retry` has it ask again.")


@app.command()
def retry(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Ask once more, now, for what the saga waits for; nothing is done twice."""
    _act("retry", order, reason, as_json=json)


@app.command()
def skip(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Go on as though the stage were done, because it was done by hand."""
    output.confirmed(f"Was the stage of {order} really done by hand?", yes=yes)
    _act("skip", order, reason, as_json=json)


@app.command()
def compensate(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Undo the order: parcels kept back, money given back, stock and coupon released."""
    output.confirmed(f"Undo {order} and give its money back?", yes=yes)
    _act("compensate", order, reason, as_json=json)


@app.command()
def resume(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Let a saga go on that waits for staff, or that has no deadline or is long past it."""
    _act("resume", order, reason, as_json=json)


def _act(deed: str, order: str, reason: str, *, as_json: bool) -> None:
    shop = connected()
    found = shop.post(f"{PATH}/{id_of(shop, order)}/{deed}", {"reason": reason})
    if as_json:
        output.as_json(found)
        return
    sent = output.listed(found["steps"][-1]["sent"])
    output.say(f"{found['order_number']} is {found['stage']}; sent: {sent}.")


def id_of(shop: Shop, order: str) -> str:
    """The id of an order given by its number or id; raises Refusal for one that is not there."""
    try:
        return str(UUID(order))
    except ValueError:
        pass
    found = shop.get("/v1/admin/orders", order_number=order)["items"]
    if not found:
        raise Refusal(f"there is no order {order}; `cartwright saga list` names the latest.")
    return str(found[0]["id"])


def _print(saga: dict[str, Any]) -> None:
    output.say(output.styled(f"[bold]Order {saga['order_number']}[/]  {saga['order_id']}"))
    stands = [f"status [bold]{saga['status']}[/]", f"stage [bold]{saga['stage']}[/]"]
    if saga["deadline_at"]:
        stands.append(f"deadline {output.ago(saga['deadline_at'])}")
    if saga["repeats"]:
        stands.append(f"[yellow]repeated {saga['repeats']} times[/]")
    output.say(output.styled(" · ".join(stands)))
    traces = list(dict.fromkeys(step["trace_id"] for step in saga["steps"] if step["trace_id"]))
    if len(traces) == 1:
        output.say(f"trace {traces[0]}")
    show = _print_table if output.console.width >= WIDE else _print_lines
    show(saga["steps"], with_traces=len(traces) > 1)


def _print_table(steps: list[dict[str, Any]], *, with_traces: bool) -> None:
    table = output.table("time (UTC)", ">after", ">try", "stage", "heard", "sent")
    table.columns[4].min_width = len("01a1fe95-7d78-77b3-976e-f6b65f2d2871")
    for step in steps:
        table.add_row(
            output.clock(step["at"]),
            output.span(step["seconds"]),
            str(step["attempt"] or "–"),
            _way(step),
            output.styled("\n".join([_heard(step), *_ids(step, with_traces=with_traces)])),
            "\n".join(step["sent"]) or "–",
        )
    output.say(table)


def _print_lines(steps: list[dict[str, Any]], *, with_traces: bool) -> None:
    """The same where a table would be too wide: a few lines for each step."""
    for step in steps:
        waited = f"+{output.span(step['seconds'])}" if step["seconds"] is not None else ""
        tried = f"try {step['attempt']}" if step["attempt"] else ""
        output.say(
            output.styled(
                f"\n[bold]{output.clock(step['at'])}[/] {waited:>9}  {tried:<6}  {_way(step)}"
            )
        )
        for line in (f"heard {_heard(step)}", *_ids(step, with_traces=with_traces)):
            output.say(output.styled(f"{'':14}{line}"))
        output.say(f"{'':14}sent {output.listed(step['sent'])}")


def _way(step: dict[str, Any]) -> str:
    moved = step["stage"] != step["next_stage"]
    return f"{step['stage']} → {step['next_stage']}" if moved else str(step["stage"])


def _heard(step: dict[str, Any]) -> str:
    return str(step["heard"]) + (" [dim](ignored)[/]" if step["outcome"] == "ignored" else "")


def _ids(step: dict[str, Any], *, with_traces: bool) -> list[str]:
    """The message that was heard and, unless all steps share it, the trace, by which logs tell."""
    found = [f"[dim]{step['message_id']}[/]"] if step["message_id"] else []
    if with_traces and step["trace_id"]:
        found.append(f"[dim]trace {step['trace_id']}[/]")
    return found
