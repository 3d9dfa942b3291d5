"""Sagas: the stage of each order and its history, and the repair of those that are stuck."""

from typing import Annotated, Any
from uuid import UUID

import typer

from cartwright import output
from cartwright.admin_api import AdminApi, connect
from cartwright.output import Json, Reason, Yes
from cartwright.refusals import Refusal

app = typer.Typer(help="Show the stage and history of orders; repair those that are stuck.")

Order = Annotated[str, typer.Argument(help="The order's number, such as 2026-000001, or its id.")]
PATH = "/v1/admin/sagas"
WIDE = 112


@app.command()
def show(order: Order, *, json: Json = False) -> None:
    """Show a saga's timeline: each step with its wait, attempt, message and trace."""
    api = connect()
    found = api.get(f"{PATH}/{id_of(api, order)}")
    if json:
        output.as_json(found)
        return
    _print(found)


@app.command(name="list")
def list_sagas(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those that repeat, are overdue or wait for staff.")
    ] = False,
    stage: Annotated[str | None, typer.Option(help="Only those in this stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this number.")] = 50,
    json: Json = False,
) -> None:
    """List sagas, newest first."""
    query = {"stage": stage, "stuck": "true" if stuck else None}
    found = list(connect().pages(PATH, limit=limit, **query))
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
    output.show(table if found else "No saga is stuck." if stuck else "No saga.")
    if stuck and found:
        output.show("`cartwright saga show ORDER` shows why; `retry` sends its commands again.")


@app.command()
def retry(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Send the stage's commands again now; participants apply each operation once."""
    _act("retry", order, reason, as_json=json)


@app.command()
def skip(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Continue after a stage that staff completed by hand."""
    output.confirm(f"Was the stage of {order} completed by hand?", yes=yes)
    _act("skip", order, reason, as_json=json)


@app.command()
def compensate(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Undo the order: recall parcels, refund money, release stock and coupon."""
    output.confirm(f"Undo {order} and refund its money?", yes=yes)
    _act("compensate", order, reason, as_json=json)


@app.command()
def resume(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Resume a saga that waits for staff, lost its deadline or is long overdue."""
    _act("resume", order, reason, as_json=json)


def _act(action: str, order: str, reason: str, *, as_json: bool) -> None:
    api = connect()
    found = api.post(f"{PATH}/{id_of(api, order)}/{action}", {"reason": reason})
    if as_json:
        output.as_json(found)
        return
    sent = output.joined(found["steps"][-1]["sent"])
    output.show(f"{found['order_number']} is {found['stage']}; sent: {sent}.")


def id_of(api: AdminApi, order: str) -> str:
    """Return the id of an order by its number or id; raises Refusal for an unknown one."""
    try:
        return str(UUID(order))
    except ValueError:
        pass
    found = api.get("/v1/admin/orders", order_number=order)["items"]
    if not found:
        raise Refusal(f"there is no order {order}; `cartwright saga list` shows the newest.")
    return str(found[0]["id"])


def _print(saga: dict[str, Any]) -> None:
    output.show(output.styled(f"[bold]Order {saga['order_number']}[/]  {saga['order_id']}"))
    state = [f"status [bold]{saga['status']}[/]", f"stage [bold]{saga['stage']}[/]"]
    if saga["deadline_at"]:
        state.append(f"deadline {output.ago(saga['deadline_at'])}")
    if saga["repeats"]:
        state.append(f"[yellow]repeated {saga['repeats']} times[/]")
    output.show(output.styled(" · ".join(state)))
    traces = list(dict.fromkeys(step["trace_id"] for step in saga["steps"] if step["trace_id"]))
    if len(traces) == 1:
        output.show(f"trace {traces[0]}")
    show = _print_table if output.console.width >= WIDE else _print_lines
    show(saga["steps"], with_traces=len(traces) > 1)


def _print_table(steps: list[dict[str, Any]], *, with_traces: bool) -> None:
    table = output.table("time (UTC)", ">after", ">try", "stage", "received", "sent")
    table.columns[4].min_width = len("01a1fe95-7d78-77b3-976e-f6b65f2d2871")
    for step in steps:
        table.add_row(
            output.clock(step["at"]),
            output.duration(step["seconds"]),
            str(step["attempt"] or "–"),
            _transition(step),
            output.styled("\n".join([_received(step), *_ids(step, with_traces=with_traces)])),
            "\n".join(step["sent"]) or "–",
        )
    output.show(table)


def _print_lines(steps: list[dict[str, Any]], *, with_traces: bool) -> None:
    """Print a few lines for each step, where a table would be too wide."""
    for step in steps:
        waited = f"+{output.duration(step['seconds'])}" if step["seconds"] is not None else ""
        tried = f"try {step['attempt']}" if step["attempt"] else ""
        stages = _transition(step)
        head = f"\n[bold]{output.clock(step['at'])}[/] {waited:>9}  {tried:<6}  {stages}"
        output.show(output.styled(head))
        for line in (f"received {_received(step)}", *_ids(step, with_traces=with_traces)):
            output.show(output.styled(f"{'':14}{line}"))
        output.show(f"{'':14}sent {output.joined(step['sent'])}")


def _transition(step: dict[str, Any]) -> str:
    moved = step["stage"] != step["next_stage"]
    return f"{step['stage']} → {step['next_stage']}" if moved else str(step["stage"])


def _received(step: dict[str, Any]) -> str:
    return str(step["heard"]) + (" [dim](ignored)[/]" if step["outcome"] == "ignored" else "")


def _ids(step: dict[str, Any], *, with_traces: bool) -> list[str]:
    """The id of the received message, and the trace unless all steps share one."""
    found = [f"[dim]{step['message_id']}[/]"] if step["message_id"] else []
    if with_traces and step["trace_id"]:
        found.append(f"[dim]trace {step['trace_id']}[/]")
    return found
